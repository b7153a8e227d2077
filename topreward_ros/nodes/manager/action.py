"""The action `~/run_episode`: one goal is one episode, from its start to its outcome."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

from topreward_msgs.action import RunEpisode
from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.manager.control import EpisodeControl
from topreward_ros.nodes.manager.managed_episode import EpisodeRequest
from topreward_ros.nodes.manager.parameters import STALLS, ManagerParameters
from topreward_ros.nodes.manager.start import StartRefused
from topreward_ros.nodes.waiting import Waiting

RESULT_TIMEOUT = 60
"""s for which a goal's result is kept."""
SUCCEEDED = {
    EpisodeEvent.REASON_SUCCESS,
    EpisodeEvent.REASON_FAILURE,
    EpisodeEvent.REASON_TIMEOUT,
    EpisodeEvent.REASON_STOPPED,
    *STALLS,
}
"""Ends after which a goal counts as carried out; with any other it is aborted or canceled."""


class EpisodeAction:
    """Serves the action on a node."""

    def __init__(
        self,
        node: Node,
        control: EpisodeControl,
        *,
        waiting: Waiting,
        read: Callable[[], ManagerParameters],
        group: CallbackGroup,
    ) -> None:
        """Offers the action.

        Args:
            node: offers it.
            control: runs the episodes.
            waiting: waits.
            read: returns the parameters of now.
            group: of the callbacks; reentrant.
        """
        self._log = node.get_logger()
        self._control = control
        self._waiting = waiting
        self._read = read
        self._goals = 0
        self._server = ActionServer(
            node,
            RunEpisode,
            "~/run_episode",
            self._run_goal,
            callback_group=group,
            goal_callback=self._on_goal,
            cancel_callback=self._on_cancel,
            result_timeout=RESULT_TIMEOUT,
        )

    def _on_goal(self, goal: RunEpisode.Goal) -> GoalResponse:
        try:
            EpisodeRequest.of(goal)
        except ValueError as error:
            self._log.error(f"A goal is rejected: {error}")
            return GoalResponse.REJECT
        if self._control.closed:
            self._log.warning("A goal is rejected: the manager was asked to stop.")
            return GoalResponse.REJECT
        busy = self._goals or self._control.starting or self._control.current is not None
        if busy and self._read().on_second_goal == "refuse":
            self._log.warning(
                "A goal is rejected: an episode runs or starts, and on_second_goal is refuse."
            )
            return GoalResponse.REJECT
        self._goals += 1
        return GoalResponse.ACCEPT

    def _on_cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        self._waiting.start(self._cancel(goal))
        return CancelResponse.ACCEPT

    async def _cancel(self, goal: ServerGoalHandle) -> None:
        episode = self._control.current
        if episode is not None and episode.owner == bytes(goal.goal_id.uuid):
            self._control.end(EpisodeEvent.REASON_CANCELED, "The goal was canceled.")

    async def _run_goal(self, goal: ServerGoalHandle) -> RunEpisode.Result:
        try:
            result = await self._run(goal)
        except StartRefused as error:
            self._log.error(f"No episode: {error}")
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

        episode = await self._control.start(
            EpisodeRequest.of(goal.request),
            EpisodeEvent.REASON_PREEMPTED,
            feed_back,
            bytes(goal.goal_id.uuid),
            lambda: goal.is_cancel_requested,
        )
        if goal.is_cancel_requested:
            await self._cancel(goal)  # asked for while it started
        await episode.finished
        return episode.result()
