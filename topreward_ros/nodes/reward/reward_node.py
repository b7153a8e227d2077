"""The node that watches the cameras and publishes progress, dense reward and success.

Every callback runs on the one executor thread; the scoring thread alone touches the model, and a
guard condition tells the executor that a reading is ready. Pictures are decoded by a thread that
has no state: a hostile one takes most of a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future as Answer
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NoReturn

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidHandle
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import Trigger

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.method.prompt import InstructionError, validate_instruction
from topreward_ros.models.contract import ModelError
from topreward_ros.nodes.camera_health import CameraWatch
from topreward_ros.nodes.camera_subscriptions import CameraSubscriptions
from topreward_ros.nodes.lifecycle import GuardedLifecycleNode, TransitionRefused
from topreward_ros.nodes.messages import latched
from topreward_ros.nodes.name_claim import NameClaim
from topreward_ros.nodes.reward.diagnostics import RewardDiagnostics
from topreward_ros.nodes.reward.episode_setup import (
    check_calibration,
    import_models,
    model_loader,
    read_calibration,
)
from topreward_ros.nodes.reward.library_log import LibraryLog
from topreward_ros.nodes.reward.live_episode import Equipment
from topreward_ros.nodes.reward.live_parameters import LiveParameters
from topreward_ros.nodes.reward.outputs import Outputs
from topreward_ros.nodes.reward.runner import EpisodeRunner
from topreward_ros.nodes.reward.scoring_thread import ScoringThread
from topreward_ros.nodes.reward.task_statements import StatementsTopic
from topreward_ros.nodes.spinning import leave, run_node

WATCH_PERIOD = 0.1
"""s between looks at the cameras; how late a lost camera is noticed at most."""
LOOK_UP_PERIOD = 0.5
"""s between looks at what the image topics carry."""
REPORT_PERIOD = 1.0
"""s between diagnostics, by the steady clock."""
THREAD_PATIENCE = 2.5
"""s that the end of the node waits for the scoring thread."""


class RewardNode(GuardedLifecycleNode):
    """Lifecycle node `reward_node`.

    Attributes:
        settings: its parameters.
        scoring: the thread with the model.
        runner: runs the episodes.
        cameras: the subscriptions, while it is configured.
    """

    def __init__(self, **options: Any) -> None:
        """Creates the node, unconfigured; with `autostart` it brings itself up.

        Args:
            options: as `rclpy.node.Node` takes them.
        """
        super().__init__("reward_node", **{"namespace": "topreward", **options})
        self.settings = LiveParameters(self, lambda: self.state, self._on_parameter)
        self._library_log = LibraryLog(self.get_logger())
        self._wake = self.create_guard_condition(self._on_results)
        self._decoding = ThreadPoolExecutor(1, "decoding")  # keeps nothing from picture to picture
        self.scoring = ScoringThread(self._nudge)
        model = self.get_parameter("model").value
        self.scoring.prepare(lambda: import_models(model))
        self.cameras: CameraSubscriptions | None = None
        self._outputs = Outputs(self)
        self.runner = EpisodeRunner(
            self._outputs,
            self.scoring,
            self.get_logger(),
            self.settings,
            self._camera_now,
            self._beside,
        )
        self.runner.instruction = self.get_parameter("instruction").value.strip()
        self.create_subscription(String, "task_instruction", self._on_instruction, latched())
        StatementsTopic(self)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self._name = NameClaim(self, self._tell_of_namesake)
        self._add_timers()

    def _add_timers(self) -> None:
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # a paused /clock stops no watchdog
        diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        report = RewardDiagnostics(self, self.settings, self.scoring, self.runner)

        def publish() -> None:
            problems = self.cameras.problems if self.cameras else {}
            diagnostics.publish(report.message(problems))

        self.create_timer(REPORT_PERIOD, publish, clock=steady)
        self.create_timer(WATCH_PERIOD, self._watch, clock=steady)
        self.create_timer(LOOK_UP_PERIOD, self._look_up_cameras, clock=steady)
        if self.get_parameter("autostart").value:
            self._autostart = self.create_timer(
                0.0, self._start_by_itself, callback_group=self.reentrant, clock=steady
            )

    async def configure(self) -> None:
        """Loads the model and subscribes the cameras."""
        try:
            parameters = self.settings.read()
            self.get_logger().info(f"Loading the model {parameters.model}.")
            started = time.monotonic()
            scorer = await self._answer(self.scoring.load(model_loader(parameters)))
            calibration = read_calibration(parameters)
            if calibration is not None:
                check_calibration(calibration, parameters, scorer)
            watch = CameraWatch(parameters.cameras, time.monotonic())
            self.runner.equipment = Equipment(scorer, calibration, watch)
            self.runner.statements.introduce(parameters, self.runner.equipment)
            self.cameras = CameraSubscriptions(
                self, parameters.cameras, parameters.transport, self.runner.on_image
            )
        except (ValueError, ModelError) as error:
            self._give_back()
            raise TransitionRefused(str(error)) from None
        if scorer.backend.remark:
            self.get_logger().warning(scorer.backend.remark)
        took = time.monotonic() - started
        self.get_logger().info(f"The model {parameters.model} is loaded, in {took:.1f} s.")

    async def activate(self) -> None:
        """Starts an episode, or waits for an instruction."""
        await self._name.held  # of two that speak of episodes nobody could tell which one did
        try:
            self.runner.open()
        except ValueError as error:
            raise TransitionRefused(str(error)) from None

    async def deactivate(self) -> None:
        """Ends the episode."""
        self.runner.close(EpisodeEvent.REASON_DEACTIVATED, "The reward node was deactivated.")

    async def cleanup(self) -> None:
        """Frees the model and its memory."""
        await self._answer(self._give_back())

    def recover(self) -> None:
        """Gives everything back after a transition failed."""
        self.runner.close(EpisodeEvent.REASON_MODEL_ERROR, "A transition failed.")
        self._give_back()

    def finish(self) -> None:
        """Ends the episode and says so before the node goes."""
        if self.runner.close(EpisodeEvent.REASON_SHUTDOWN, "The reward node was asked to stop."):
            self._outputs.flush()
        self._give_back()

    def end(self) -> bool:
        """Shuts the node down and destroys it; False where the scoring thread is still busy."""
        self.close()
        self._library_log.close()
        self._decoding.shutdown(wait=False, cancel_futures=True)
        return self.scoring.close(THREAD_PATIENCE)

    async def _start_by_itself(self) -> None:
        self._autostart.cancel()
        if (await self.change_state("configure")).done:
            await self.change_state("activate")

    def _give_back(self) -> Answer[None]:
        if self.cameras is not None:
            self.cameras.destroy()
        self.cameras = self.runner.equipment = None
        return self.scoring.unload()

    async def _answer(self, answer: Answer[Any]) -> Any:
        """Waits for another thread while the executor goes on."""
        done = Future(executor=self.executor)

        def tell(_: Answer[Any]) -> None:
            done.set_result(None)
            self._nudge()

        answer.add_done_callback(tell)
        await done
        return answer.result()

    async def _beside(self, work: Callable[[], Any]) -> Any:
        """Decodes while the executor goes on."""
        return await self._answer(self._decoding.submit(work))

    def _nudge(self) -> None:
        with suppress(InvalidHandle):  # the node is gone already
            self._wake.trigger()

    def _on_results(self) -> None:
        self.runner.on_results()

    def _on_instruction(self, message: String) -> None:
        try:
            text = validate_instruction(message.data)
        except InstructionError as error:
            self.get_logger().error(f"An instruction on task_instruction is refused: {error}")
            return
        self.runner.take_instruction(text)

    def _on_parameter(self, name: str, value: Any) -> None:
        if name == "instruction":
            self.runner.take_instruction(value.strip())
        else:
            self.runner.note_parameter(name, value)

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if not self.runner.opened:
            response.message = f"The node is {self.state}; configure and activate it first."
            return response
        try:
            response.message = self.runner.reset()
            response.success = True
        except ValueError as error:
            response.message = str(error)
        return response

    def _camera_now(self) -> float | None:
        """S by a clock that goes as fast as the cameras': the simulation's, where there is one.

        None: use_sim_time is set, and no time has come.
        """
        if self.get_parameter("use_sim_time").value:
            return self.get_clock().now().nanoseconds * 1e-9 or None
        return time.monotonic()

    def _tell_of_namesake(self, detail: str) -> None:
        self.get_logger().error(detail)
        runner = self.runner
        self._outputs.event(EpisodeEvent.FAULT, runner.episode, runner.instruction, detail=detail)

    def _watch(self) -> None:
        if self.cameras is not None:
            self.runner.watch_server()
            self.runner.watch_cameras(self.cameras.problems, self.cameras.conflicts)

    def _look_up_cameras(self) -> None:
        if self.cameras is not None:
            self.cameras.look_up()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the node until SIGINT or SIGTERM; the exit code is 0, or 1 where it gave up."""
    leave(run_node(RewardNode, RewardNode.end, arguments))
