"""What the reward node tells of its episodes, taken for the running one or for another.

A reading or an event belongs to the episode whose id it carries; nothing of an earlier episode
counts for a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rclpy.impl.rcutils_logger import RcutilsLogger

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.manager.control import EpisodeControl
from topreward_ros.nodes.manager.managed_episode import EpisodeRequest, ManagedEpisode
from topreward_ros.nodes.manager.outputs import ManagerOutputs
from topreward_ros.nodes.manager.parameters import ManagerParameters
from topreward_ros.nodes.manager.reward_client import RewardClient, RewardRefused
from topreward_ros.nodes.manager.reward_events import standing_faults
from topreward_ros.nodes.manager.start import EpisodeStarter
from topreward_ros.nodes.waiting import Waiting

GOES_ON = {
    EpisodeEvent.REASON_RESET,
    EpisodeEvent.REASON_CLOCK_JUMP,
    EpisodeEvent.REASON_INSTRUCTION_CHANGED,
}
"""After these the reward node starts its next episode by itself."""


class RewardHearing:
    """Takes events and readings in."""

    def __init__(
        self,
        control: EpisodeControl,
        client: RewardClient,
        starter: EpisodeStarter,
        outputs: ManagerOutputs,
        *,
        waiting: Waiting,
        read: Callable[[], ManagerParameters],
        log: RcutilsLogger,
    ) -> None:
        """Has heard nothing yet.

        Args:
            control: of the episodes.
            client: asks the reward node.
            starter: keeps what is told while it starts an episode.
            outputs: published to.
            waiting: waits.
            read: returns the parameters of now.
            log: for people.
        """
        self._control = control
        self._client = client
        self._starter = starter
        self._outputs = outputs
        self._waiting = waiting
        self._read = read
        self._log = log

    def take_over(self, events: Sequence[EpisodeEvent], age: float) -> None:
        """Watches over an episode that ran before the manager heard of it.

        Args:
            events: what is known of it, from the oldest on.
            age: s since its start.
        """
        # Somebody may have asked for it, so it is limited like one that was asked for.
        episode = self._control.open(events[0], EpisodeRequest(), asked=False, limited=True)
        episode.started -= max(0.0, age)
        self._outputs.started(
            episode,
            EpisodeEvent.RECOVERED,
            f'"{episode.instruction}"; it was running before the manager came, and is taken over.',
        )
        for event in standing_faults(events):
            self.on_event(event)

    def on_event(self, event: EpisodeEvent) -> None:
        """Takes what the reward node says of its episodes."""
        if self._starter.starting:
            self._starter.hear(event)
            return
        current = self._control.current
        mine = current is not None and event.episode_id == current.episode_id
        if event.event == EpisodeEvent.STARTED and not mine:
            self._on_unasked_start(event)
        elif event.event == EpisodeEvent.STOPPED and mine:
            reason = event.termination_reason
            gone = reason == EpisodeEvent.REASON_SHUTDOWN
            self._control.end(reason, event.detail, goes_on=reason in GOES_ON, gone=gone)
        elif event.event == EpisodeEvent.FAULT and mine:
            self._on_fault(current, event)
        elif event.event in (EpisodeEvent.CHANGED, EpisodeEvent.STAGE) and mine:
            self._outputs.trouble(current, event.event, "", event.detail)
        elif event.event == EpisodeEvent.RECOVERED and mine:
            current.see_again(event.termination_reason)
            self._outputs.trouble(
                current, EpisodeEvent.RECOVERED, event.termination_reason, event.detail
            )

    def on_reading(self, reading: RewardStamped) -> None:
        """Takes a reading; of the running episode alone."""
        if self._starter.starting:
            self._starter.hear_reading(reading)
            return
        episode = self._control.current
        if episode is None or reading.episode_id != episode.episode_id:
            return
        if reading.instruction != episode.instruction:
            self._on_other_instruction(reading.instruction)
            return
        episode.take(reading)
        if verdict := episode.verdict():
            self._control.end(*verdict)

    def _on_fault(self, current: ManagedEpisode, event: EpisodeEvent) -> None:
        detail = event.detail
        if current.go_blind(event.termination_reason, self._waiting.now()):
            patience = self._read().camera_patience
            detail = f"{detail} In {patience:g} s without it the episode ends."
        self._outputs.trouble(current, EpisodeEvent.FAULT, event.termination_reason, detail)
        ends = (EpisodeEvent.REASON_FAILURE, *self._read().end_on)
        if event.termination_reason and event.termination_reason in ends:
            self._control.end(event.termination_reason, detail)

    def catch_up(self) -> None:
        """Takes what was told during a start; the new episode may have ended meanwhile."""
        readings, events = self._starter.rest()
        for reading in readings:
            self.on_reading(reading)
        for event in events:
            self.on_event(event)

    def _on_unasked_start(self, event: EpisodeEvent) -> None:
        former = self._control.current
        if former is not None:
            self._control.end(
                EpisodeEvent.REASON_MODEL_ERROR,
                "The reward node started another episode without ending this one; it was "
                "probably started anew.",
                goes_on=True,
            )
        if self._control.adopts and not self._control.deactivating:
            episode = self._control.open(event, EpisodeRequest(), asked=False)
            self._outputs.started(
                episode,
                EpisodeEvent.STARTED,
                f'"{event.instruction}"; the reward node started it by itself.',
            )

    def _on_other_instruction(self, text: str) -> None:
        """An episode is one attempt at one task: the new task gets an episode of its own."""
        episode = self._control.current
        self._control.end(
            EpisodeEvent.REASON_INSTRUCTION_CHANGED,
            f'The instruction was changed to "{text}".',
            goes_on=True,
        )
        if not (episode.asked and self._read().manage_lifecycle):
            self._waiting.start(self._reset_for(text))

    async def _reset_for(self, text: str) -> None:
        try:
            await self._client.reset()
        except RewardRefused as error:
            self._log.warning(f'No new episode for "{text}": {error}')
