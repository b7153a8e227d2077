"""The node that runs episodes: it brings the reward node up, starts, watches and ends them.

Every callback runs on one executor thread, and none of them waits: what takes time is a coroutine.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import rclpy
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_srvs.srv import Trigger

from topreward_msgs.action import RunEpisode
from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_msgs.srv import StartEpisode, StopEpisode
from topreward_ros.nodes.episode_control import EpisodeControl, StartRefused
from topreward_ros.nodes.managed_episode import EpisodeRequest, ManagedEpisode
from topreward_ros.nodes.manager_outputs import ManagerOutputs
from topreward_ros.nodes.manager_parameters import ManagerParameterError, ManagerSettings
from topreward_ros.nodes.outputs import latched
from topreward_ros.nodes.reward_client import RewardClient
from topreward_ros.nodes.reward_keeper import RewardKeeper
from topreward_ros.nodes.spinning import run_node
from topreward_ros.nodes.stop_actions import StopActions
from topreward_ros.nodes.waiting import SHORTEST, Waiting

WATCH_PERIOD = 0.05
"""s between looks at the running episode's limits."""
REPORT_PERIOD = 1.0
"""s between diagnostics."""
HISTORY_PATIENCE = 0.5
"""s within which a reward node that was there before has told its history."""
END_PATIENCE = 4.0
"""s that stop actions get when the manager is asked to stop; launch loses patience after 5."""
RESULT_PAUSE = 0.05
"""s in which a goal's result leaves before the node goes."""
RESULT_TIMEOUT = 60
"""s for which a goal's result is kept."""
OUTCOMES = (
    EpisodeEvent.OUTCOME_UNLABELLED,
    EpisodeEvent.OUTCOME_SUCCESS,
    EpisodeEvent.OUTCOME_FAILURE,
)
SUCCEEDED = {
    EpisodeEvent.REASON_SUCCESS,
    EpisodeEvent.REASON_TIMEOUT,
    EpisodeEvent.REASON_STOPPED,
}
"""Ends after which a goal counts as carried out; with any other it is aborted or canceled."""


class EpisodeManager(Node):
    """Node `episode_manager`.

    Attributes:
        control: runs the episodes.
        client: asks the reward node.
        actions: that stop the robot.
    """

    def __init__(self, **options: Any) -> None:
        """Creates the node; it begins as soon as an executor runs it.

        Args:
            options: as `rclpy.node.Node` takes them.

        Raises:
            ManagerParameterError: a parameter has a value that is not allowed.
        """
        super().__init__("episode_manager", **{"namespace": "topreward", **options})
        self._group = ReentrantCallbackGroup()
        self._waiting = Waiting(self, self._group)
        self._settings = ManagerSettings(self)
        parameters = self._settings.read()
        self._outputs = ManagerOutputs(self, self._waiting)
        self.actions = StopActions(
            self,
            self._settings.actions,
            waiting=self._waiting,
            group=self._group,
            allow_emergency_stop=parameters.allow_emergency_stop,
        )
        self.client = RewardClient(
            self,
            parameters.reward_node,
            waiting=self._waiting,
            group=self._group,
            changed=lambda state: self.get_logger().debug(f"The reward node is {state}."),
        )
        common = {
            "waiting": self._waiting,
            "read": self._settings.read,
            "log": self.get_logger(),
        }
        self.control = EpisodeControl(self.client, self._outputs, self.actions, **common)
        self._keeper = RewardKeeper(self.client, self, **common)
        self.control.revive = self._keeper.retry
        self._goals = 0
        self._began = time.time_ns()  # the clock that DDS stamps messages with
        self._left_over: EpisodeEvent | None = None
        self._looked_back = False
        self._listen()
        self._serve()
        self._add_timers()

    def trouble(self, event: str, reason: str, detail: str) -> None:
        """Publishes a FAULT of the reward node, or that it is over."""
        self._outputs.fault = detail if event == EpisodeEvent.FAULT else ""
        self._outputs.trouble(self.control.current, event, reason, detail)

    def running(self) -> str:
        """Returns the id of the running episode, empty if none runs."""
        return self.control.current.episode_id if self.control.current else ""

    def cut_off(self, reason: str, detail: str) -> None:
        """Ends the running episode, because nothing scores it any more."""
        if self.control.current is not None:
            self.control.end(reason, detail)

    async def finish(self) -> None:
        """Ends the running episode before the node goes, and waits for what follows."""
        self.cut_off(EpisodeEvent.REASON_SHUTDOWN, "The manager was asked to stop.")
        await self.control.wait_finished(END_PATIENCE)
        await self._waiting.pause(RESULT_PAUSE)  # the goal's result leaves
        self._outputs.flush()

    def _listen(self) -> None:
        name = self.client.name
        self.create_subscription(
            RewardStamped,
            f"{name}/reading",
            self.control.on_reading,
            QoSProfile(depth=100),
            callback_group=self._group,
        )
        self.create_subscription(
            EpisodeEvent,
            f"{name}/event",
            self._on_reward_event,
            latched(100),
            callback_group=self._group,
        )

    def _serve(self) -> None:
        serve = {
            "~/start_episode": (StartEpisode, self._on_start),
            "~/stop_episode": (StopEpisode, self._on_stop),
            "~/reset": (Trigger, self._on_reset),
        }
        for name, (kind, callback) in serve.items():
            self.create_service(kind, name, callback, callback_group=self._group)
        self._server = ActionServer(
            self,
            RunEpisode,
            "~/run_episode",
            self._run_goal,
            callback_group=self._group,
            goal_callback=self._on_goal,
            cancel_callback=self._on_cancel,
            result_timeout=RESULT_TIMEOUT,
        )

    def _add_timers(self) -> None:
        def every(period: float, act: Any) -> Any:
            return self.create_timer(
                period, act, callback_group=self._group, clock=self._waiting.clock
            )

        every(WATCH_PERIOD, self.control.watch)
        every(REPORT_PERIOD, self._report)
        self._begin = every(SHORTEST, self._on_begin)

    def _on_begin(self) -> None:
        self.destroy_timer(self._begin)
        self._waiting.start(self._keeper.watch())

    def _report(self) -> None:
        self._outputs.report(self.client.state, self.control.current)

    def _on_reward_event(self, event: EpisodeEvent, info: dict[str, Any]) -> None:
        if info["source_timestamp"] >= self._began:
            self.control.on_event(event)
        elif event.event == EpisodeEvent.STARTED:
            self._left_over = event
        elif event.event == EpisodeEvent.STOPPED:
            self._left_over = None
        if not self._looked_back:
            self._looked_back = True
            self._waiting.start(self._look_back())

    async def _look_back(self) -> None:
        """Takes an episode over that ran before the manager came."""
        await self._waiting.pause(HISTORY_PATIENCE)
        event = self._left_over
        if event is None or self.control.busy or not self._settings.read().adopt_episodes:
            return
        if await self.client.lifecycle.ask(HISTORY_PATIENCE) == "active" and not self.control.busy:
            self.control.adopt(event, EpisodeEvent.RECOVERED)

    def _on_goal(self, goal: RunEpisode.Goal) -> GoalResponse:
        try:
            _request(goal)
        except ValueError as error:
            self.get_logger().error(f"A goal is rejected: {error}")
            return GoalResponse.REJECT
        busy = self._goals or self.control.current is not None
        if busy and self._settings.read().on_second_goal == "refuse":
            self.get_logger().warning(
                "A goal is rejected: an episode runs, and on_second_goal is refuse."
            )
            return GoalResponse.REJECT
        self._goals += 1
        return GoalResponse.ACCEPT

    def _on_cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        self._waiting.start(self._cancel(goal))
        return CancelResponse.ACCEPT

    async def _cancel(self, goal: ServerGoalHandle) -> None:
        episode = self.control.current
        if episode is not None and episode.owner == bytes(goal.goal_id.uuid):
            self.control.end(EpisodeEvent.REASON_CANCELED, "The goal was canceled.")

    async def _run_goal(self, goal: ServerGoalHandle) -> RunEpisode.Result:
        try:
            result = await self._run(goal)
        except StartRefused as error:
            self.get_logger().error(f"No episode: {error}")
            result = RunEpisode.Result(
                outcome=EpisodeEvent.OUTCOME_UNLABELLED,
                termination_reason=EpisodeEvent.REASON_MODEL_ERROR,
                detail=str(error),
            )
        finally:
            self._goals -= 1
        if goal.is_cancel_requested:
            goal.canceled()
        elif result.termination_reason in SUCCEEDED:
            goal.succeed()
        else:
            goal.abort()
        return result

    async def _run(self, goal: ServerGoalHandle) -> RunEpisode.Result:
        def feed_back(reading: RewardStamped) -> None:
            goal.publish_feedback(RunEpisode.Feedback(reading=reading))

        episode = await self.control.start(
            _request(goal.request),
            EpisodeEvent.REASON_PREEMPTED,
            feed_back,
            bytes(goal.goal_id.uuid),
        )
        if goal.is_cancel_requested:
            await self._cancel(goal)  # asked for while it started
        await episode.finished
        return episode.result()

    async def _on_start(
        self, request: StartEpisode.Request, response: StartEpisode.Response
    ) -> StartEpisode.Response:
        try:
            episode = await self.control.start(_request(request), EpisodeEvent.REASON_RESET)
        except (ValueError, StartRefused) as error:
            response.message = str(error)
            self.get_logger().error(f"No episode: {error}")
            return response
        response.success = True
        response.episode_id = episode.episode_id
        response.message = f"Episode {episode.episode_id} has started."
        return response

    async def _on_stop(
        self, request: StopEpisode.Request, response: StopEpisode.Response
    ) -> StopEpisode.Response:
        if request.outcome and request.outcome not in OUTCOMES:
            response.message = (
                f"outcome is {request.outcome!r}; expected one of {', '.join(OUTCOMES)}, or none."
            )
            return response
        if self.control.current is None:
            response.message = "No episode runs."
            return response
        episode = self.control.end(
            EpisodeEvent.REASON_STOPPED,
            request.detail or "Somebody asked for the stop.",
            outcome=request.outcome,
            run_actions=request.run_stop_actions,
        )
        await episode.finished
        return _stopped(episode, response)

    async def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        former = self.control.current
        request = former.request if former is not None else EpisodeRequest()
        try:
            episode = await self.control.start(request, EpisodeEvent.REASON_RESET)
        except StartRefused as error:
            response.message = str(error)
            return response
        response.success = True
        response.message = f"Episode {episode.episode_id} has started."
        return response


def _request(asked: RunEpisode.Goal | StartEpisode.Request) -> EpisodeRequest:
    return EpisodeRequest(asked.instruction.strip(), asked.time_limit, asked.min_duration)


def _stopped(episode: ManagedEpisode, response: StopEpisode.Response) -> StopEpisode.Response:
    failed = [result.name for result in episode.stop_results if not result.done]
    response.success = not failed
    response.episode_id = episode.episode_id
    response.message = f"Episode {episode.episode_id} has ended."
    if failed:
        response.message += f" NOT STOPPED: {', '.join(failed)}."
    return response


def main(arguments: list[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM.

    Args:
        arguments: of the command line; None: this process's.

    Returns:
        The exit code: 0 after a signal, 1 with one sentence where it cannot start.
    """
    try:
        run_node(EpisodeManager, Node.destroy_node, arguments, EpisodeManager.finish)
    except ManagerParameterError as error:
        print(f"episode_manager: {error}", file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
