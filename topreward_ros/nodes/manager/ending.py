"""What follows an episode's end: the robot is stopped, and the scoring too."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.task import Future

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.nodes.manager.managed_episode import ManagedEpisode
from topreward_ros.nodes.manager.outputs import ManagerOutputs
from topreward_ros.nodes.manager.owed_stops import OwedStop, OwedStops
from topreward_ros.nodes.manager.reward_client import RewardClient, RewardRefused
from topreward_ros.nodes.manager.stop_actions import StopAction
from topreward_ros.nodes.waiting import Waiting


class EpisodeEnding:
    """Carries out the ends of episodes; usually of one, of several where one follows soon."""

    def __init__(
        self,
        client: RewardClient,
        outputs: ManagerOutputs,
        owed: OwedStops,
        *,
        waiting: Waiting,
        log: RcutilsLogger,
    ) -> None:
        """Has nothing to end yet.

        Args:
            client: asks the reward node.
            outputs: told of each stop action.
            owed: outlives this process.
            waiting: waits.
            log: for people.
        """
        self._client = client
        self._outputs = outputs
        self._owed = owed
        self._waiting = waiting
        self._log = log
        self._episodes: list[ManagedEpisode] = []
        self._deactivations = 0

    @property
    def busy(self) -> bool:
        """Whether an episode is being ended."""
        return bool(self._episodes)

    @property
    def deactivating(self) -> bool:
        """Whether the reward node is being deactivated."""
        return self._deactivations > 0

    def begin(
        self, episode: ManagedEpisode, actions: Sequence[StopAction], deactivate: bool
    ) -> None:
        """Begins with what follows an end; the episode's `finished` is done after it.

        Args:
            episode: has ended.
            actions: run one after the other.
            deactivate: whether the reward node is deactivated, at the same time.
        """
        self._note(episode, actions, deactivate)
        self.hold(episode, deactivate)
        self._waiting.start(self.carry_out(episode, actions, deactivate))

    def hold(self, episode: ManagedEpisode, deactivate: bool) -> None:
        """Counts an episode among those that are being ended; `carry_out` has to follow."""
        self._deactivations += deactivate
        self._episodes.append(episode)

    async def finished(self) -> None:
        """Waits for all that has begun by now."""
        for episode in list(self._episodes):
            await episode.finished

    async def carry_out(
        self, episode: ManagedEpisode, actions: Sequence[StopAction], deactivate: bool
    ) -> None:
        """Does what follows an end.

        Args:
            episode: has ended.
            actions: run one after the other.
            deactivate: whether the reward node is deactivated, at the same time.
        """
        closing: Future | None = self._waiting.start(self._deactivate()) if deactivate else None
        try:
            for action in actions:
                result = await action.run(self._waiting)
                episode.stop_results.append(result)
                self._owed.done(episode.episode_id, result.name)
                self._outputs.stop_action(episode, result)
            if closing is not None:
                await closing
            self._owed.settled(episode.episode_id)  # not in `finally`: a process that ends owes it
        finally:
            self._episodes.remove(episode)
            episode.finished.set_result(None)

    def _note(
        self, episode: ManagedEpisode, actions: Sequence[StopAction], deactivate: bool
    ) -> None:
        former = self._owed.problem
        self._owed.owe(
            OwedStop(
                episode.episode_id,
                episode.instruction,
                episode.reason,
                episode.outcome,
                time.time(),
                tuple(action.name for action in actions),
                deactivate,
            )
        )
        if self._owed.problem and self._owed.problem != former:
            self._outputs.trouble(episode, EpisodeEvent.FAULT, "", self._owed.problem)

    async def _deactivate(self) -> None:
        """Also where no state is known: an answer may only have been lost."""
        try:
            await self._client.change("deactivate")
        except RewardRefused as error:
            if self._client.state not in ("unconfigured", "finalized"):
                self._log.warning(f"The reward node may go on scoring: {error}")
        finally:
            self._deactivations -= 1
