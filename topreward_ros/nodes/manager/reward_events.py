"""What the reward node tells of its episodes: as it tells it, and what nobody heard at the time.

Its topic keeps the last events for whoever comes later. Two subscriptions tell the two kinds apart
without comparing the clocks of two machines: one gets what is told from now on, one everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.nodes.messages import latched
from topreward_ros.nodes.waiting import Waiting

HISTORY_PATIENCE = 0.5
"""s within which everything that was told before has arrived, and what is told now twice."""
QUEUE = 100


class RewardEvents:
    """Listens to one reward node."""

    def __init__(self, node: Node, topic: str, *, waiting: Waiting, group: CallbackGroup) -> None:
        """Hears nothing yet; see `listen`.

        Args:
            node: which listens.
            topic: of the events.
            waiting: waits.
            group: a reentrant callback group.
        """
        self._node = node
        self._topic = topic
        self._waiting = waiting
        self._group = group
        self._live = None
        self._heard: deque[tuple[object, ...]] = deque(maxlen=QUEUE)
        self._kept: list[EpisodeEvent] = []
        self._sifting = False

    @property
    def hears(self) -> bool:
        """Whether what the node tells now arrives."""
        return self._live is not None and self._live.get_publisher_count() > 0

    def listen(
        self,
        now: Callable[[EpisodeEvent], None],
        before: Callable[[Sequence[EpisodeEvent]], Awaitable[None]],
    ) -> None:
        """Begins to listen.

        Args:
            now: told of each event when it happens.
            before: told of an episode whose beginning was not heard and whose end has not come:
                the events that are known of it, from the oldest on.
        """

        def take(event: EpisodeEvent) -> None:
            self._heard.append(_identity(event))
            now(event)

        def keep(event: EpisodeEvent) -> None:
            self._kept.append(event)
            if not self._sifting:
                self._sifting = True
                self._waiting.start(self._sift(before))

        for act, quality in ((take, QoSProfile(depth=QUEUE)), (keep, latched(QUEUE))):
            subscription = self._node.create_subscription(
                EpisodeEvent, self._topic, act, quality, callback_group=self._group
            )
            self._live = self._live or subscription

    async def _sift(self, before: Callable[[Sequence[EpisodeEvent]], Awaitable[None]]) -> None:
        await self._waiting.pause(HISTORY_PATIENCE)
        kept, self._kept, self._sifting = self._kept, [], False
        story = unended(kept)
        if story and _identity(story[0]) not in self._heard:
            await before(story)


def unended(events: Sequence[EpisodeEvent]) -> list[EpisodeEvent]:
    """Returns what is told of the last episode in it; nothing if it has ended."""
    story: list[EpisodeEvent] = []
    for event in events:
        if event.event == EpisodeEvent.STOPPED or not event.episode_id:
            story = [] if event.event == EpisodeEvent.STOPPED else story
        elif story and story[0].episode_id == event.episode_id:
            story.append(event)
        else:
            story = [event]
    return story


def standing_faults(events: Sequence[EpisodeEvent]) -> list[EpisodeEvent]:
    """Returns the faults that are not over yet, as many as there are."""
    faults: list[EpisodeEvent] = []
    for event in events:
        if event.event == EpisodeEvent.FAULT:
            faults.append(event)
        elif event.event == EpisodeEvent.RECOVERED:
            reason = event.termination_reason
            over = next((one for one in faults if one.termination_reason == reason), None)
            if over is not None:
                faults.remove(over)
    return faults


def _identity(event: EpisodeEvent) -> tuple[object, ...]:
    stamp = event.header.stamp
    return (event.episode_id, event.event, stamp.sec, stamp.nanosec, event.detail)
