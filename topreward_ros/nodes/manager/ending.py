"""What follows an episode's end: the robot is stopped, and the scoring too."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.task import Future

from topreward_ros.nodes.manager.managed_episode import ManagedEpisode
from topreward_ros.nodes.manager.outputs import ManagerOutputs
from topreward_ros.nodes.manager.reward_client import RewardClient, RewardRefused
from topreward_ros.nodes.manager.stop_actions import StopAction
from topreward_ros.nodes.waiting import Waiting


class EpisodeEnding:
    """Carries out the ends of episodes; usually of one, of several where one follows soon."""

    def __init__(
        self,
        client: RewardClient,
        outputs: ManagerOutputs,
        *,
        waiting: Waiting,
        log: RcutilsLogger,
    ) -> None:
        """Has nothing to end yet.

        Args:
            client: asks the reward node.
            outputs: told of each stop action.
            waiting: waits.
            log: for people.
        """
        self._client = client
        self._outputs = outputs
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
        self._deactivations += deactivate
        self._episodes.append(episode)
        self._waiting.start(self._carry_out(episode, actions, deactivate))

    async def finished(self) -> None:
        """Waits for all that has begun by now."""
        for episode in list(self._episodes):
            await episode.finished

    async def _carry_out(
        self, episode: ManagedEpisode, actions: Sequence[StopAction], deactivate: bool
    ) -> None:
        closing: Future | None = self._waiting.start(self._deactivate()) if deactivate else None
        try:
            for action in actions:
                result = await action.run(self._waiting)
                episode.stop_results.append(result)
                self._outputs.stop_action(episode, result)
            if closing is not None:
                await closing
        finally:
            self._episodes.remove(episode)
            episode.finished.set_result(None)

    async def _deactivate(self) -> None:
        """Also where no state is known: an answer may only have been lost."""
        try:
            await self._client.change("deactivate")
        except RewardRefused as error:
            if self._client.state not in ("unconfigured", "finalized"):
                self._log.warning(f"The reward node may go on scoring: {error}")
        finally:
            self._deactivations -= 1
