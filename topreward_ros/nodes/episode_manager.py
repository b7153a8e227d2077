"""The node that runs episodes: it brings the reward node up, starts, watches and ends them.

Every callback runs on one executor thread, and none of them waits: what takes time is a coroutine.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
from topreward_ros.nodes.declared_parameters import ParameterError
from topreward_ros.nodes.episode_control import EpisodeControl
from topreward_ros.nodes.episode_ending import EpisodeEnding
from topreward_ros.nodes.episode_start import EpisodeStarter, StartRefused
from topreward_ros.nodes.managed_episode import EpisodeRequest, ManagedEpisode
from topreward_ros.nodes.manager_outputs import ManagerOutputs
from topreward_ros.nodes.manager_parameters import ManagerSettings
from topreward_ros.nodes.reward_client import RewardClient
from topreward_ros.nodes.reward_events import HISTORY_PATIENCE, RewardEvents
from topreward_ros.nodes.reward_keeper import RewardKeeper
from topreward_ros.nodes.spinning import run_node
from topreward_ros.nodes.stop_actions import StopActions
from topreward_ros.nodes.waiting import SHORTEST, Waiting

WATCH_PERIOD = 0.05
"""s between looks at the running episode's limits."""
REPORT_PERIOD = 1.0
"""s between diagnostics."""
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
            ParameterError: a parameter has a value that is not allowed.
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
        self._events = RewardEvents(
            self, f"{self.client.name}/event", waiting=self._waiting, group=self._group
        )
        common = {"waiting": self._waiting, "read": self._settings.read}
        starter = EpisodeStarter(self.client, self._events, **common)
        log = self.get_logger()
        ending = EpisodeEnding(self.client, self._outputs, waiting=self._waiting, log=log)
        self.control = EpisodeControl(
            self.client, starter, ending, self._outputs, self.actions, log=log, **common
        )
        self._keeper = RewardKeeper(self.client, self, log=log, **common)
        starter.revive = self._keeper.retry
        self._goals = 0
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
        """Ends what runs and what starts before the node goes, and waits for what follows."""
        await self.control.close(END_PATIENCE)
        await self._waiting.pause(RESULT_PAUSE)  # the goal's result leaves
        self._outputs.flush()

    def _listen(self) -> None:
        self.create_subscription(
            RewardStamped,
            f"{self.client.name}/reading",
            self.control.on_reading,
            QoSProfile(depth=100),
            callback_group=self._group,
        )
        self._events.listen(self.control.on_event, self._look_back)

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

    async def _look_back(self, events: Sequence[EpisodeEvent]) -> None:
        """Takes an episode over that ran before the manager heard of it."""
        if self.control.busy or not self.control.adopts:
            return
        if await self.client.lifecycle.ask(HISTORY_PATIENCE) == "active" and not self.control.busy:
            self.control.take_over(events, self._age(events[0]))

    def _age(self, event: EpisodeEvent) -> float:
        """Returns s since the start of an event's episode, as far as two clocks agree."""
        stamp = event.header.stamp
        now = self.get_clock().now().nanoseconds * 1e-9
        return now - (stamp.sec + stamp.nanosec * 1e-9) + event.duration

    def _on_goal(self, goal: RunEpisode.Goal) -> GoalResponse:
        try:
            _request(goal)
        except ValueError as error:
            self.get_logger().error(f"A goal is rejected: {error}")
            return GoalResponse.REJECT
        if self.control.closed:
            self.get_logger().warning("A goal is rejected: the manager was asked to stop.")
            return GoalResponse.REJECT
        busy = self._goals or self.control.starting or self.control.current is not None
        if busy and self._settings.read().on_second_goal == "refuse":
            self.get_logger().warning(
                "A goal is rejected: an episode runs or starts, and on_second_goal is refuse."
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
                termination_reason=error.reason,
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
            lambda: goal.is_cancel_requested,
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
    except ParameterError as error:
        print(f"episode_manager: {error}", file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
