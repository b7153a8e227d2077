"""When episodes began and ended in a bag, as the nodes' events in it tell.

The messages' place in the recording counts and not their stamps, which are another clock's than the
cameras'. Events are kept for late subscribers, so a recorder is told of earlier episodes too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from topreward_ros.offline.message_types import EVENT_TYPE, message_types
from topreward_ros.video.recordings.bag_messages import raw_messages
from topreward_ros.video.recordings.bag_part import LATEST
from topreward_ros.video.recordings.recording import RecordingError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STARTED, STOPPED = "started", "stopped"
LABELS = {"success": True, "failure": False}
"""What an outcome says of the task."""
MODELS_OWN = ("success", "timeout", "failure")
"""Reasons for an end whose outcome is what the model said; no label to hold a model against."""
INSTRUCTION_CHANGED, CLOCK_JUMP = "instruction_changed", "clock_jump"
AT_ONCE = 100_000_000
"""ns in which a recorder that came late is told of the past."""
LATE = 1.0
"""s that an event came later than the others, from which on it was one of the past."""


@dataclass
class EventSpan:
    """One episode between its events.

    Attributes:
        episode_id: as the events have it.
        asked: the tasks that it was started with.
        left: the tasks that it was stopped with.
        changed: whether it ended because there was another task.
        jumped: whether it ended because a camera's time jumped.
        success: what somebody said of the outcome; None: nobody did.
        judged: whether the outcome is the model's own.
        start: ns of the recorder's clock; None: its start is not in the bag.
        stop: the same of its end.
        topics: on which it was told of.
        before: whether all of it was over before the recorder was told of it.
        late: s by which the recorder was told late of its start, where its end came in time.
    """

    episode_id: str
    asked: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    changed: bool = False
    jumped: bool = False
    success: bool | None = None
    judged: bool = False
    start: int | None = None
    stop: int | None = None
    topics: set[str] = field(default_factory=set)
    before: bool = False
    late: float = 0.0
    _started: float = 0.0
    _stopped: float = 0.0
    _took: float = 0.0

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it was about, each task once.

        A new instruction may go on with the video, untold until the end; where it ended the
        episode, the end already tells the next one's.
        """
        told = self.asked if self.changed else [*self.asked, *self.left]
        return tuple(dict.fromkeys(task for task in told if task.strip()))

    @property
    def begin(self) -> int:
        """Ns from which on it is in the bag."""
        return max(0, (self.start or 0) - round(self.late * 1e9))

    @property
    def end(self) -> int:
        """Ns to which it is in the bag."""
        return LATEST if self.stop is None else self.stop

    def take(self, topic: str, received: int, event: Any) -> None:
        """Notes an event; of several of a kind the first counts, as several nodes tell of one."""
        self.topics.add(topic)
        (self.asked if event.event == STARTED else self.left).append(str(event.instruction))
        self.changed |= event.termination_reason == INSTRUCTION_CHANGED
        self.jumped |= event.event == STOPPED and event.termination_reason == CLOCK_JUMP
        stamp = event.header.stamp.sec + event.header.stamp.nanosec * 1e-9
        if event.event == STARTED and self.start is None:
            self.start, self._started = received, stamp
        if event.event != STOPPED:
            return
        if self.stop is None:
            self.stop, self._stopped = received, stamp
        self._took = max(self._took, float(event.duration))
        if event.outcome in LABELS and event.termination_reason in MODELS_OWN:
            self.judged = True
        elif event.outcome in LABELS:
            self.success = LABELS[event.outcome]

    def judge(self) -> None:
        """Finds out what of it the recorder was told late."""
        if self.start is None or self.stop is None:
            return
        span = (self.stop - self.start) * 1e-9
        # By two clocks, as the recorder's or the nodes' may be a simulator's.
        late = min(self._stopped - self._started, self._took) - span
        self.before = late > LATE and 0 <= self.stop - self.start < AT_ONCE
        self.late = late if late > LATE and self.stop - self.start >= AT_ONCE else 0.0


def read_events(path: Path) -> tuple[list[EventSpan], int]:
    """Reads which episodes a bag tells of, in order of their starts.

    Args:
        path: the bag.

    Returns:
        The episodes, and how many events of a start or an end name none.

    Raises:
        RecordingError: the bag is damaged.
    """
    spans: dict[str, EventSpan] = {}
    nameless = 0
    for topic, received, event in _events(path):
        if event.event not in (STARTED, STOPPED):
            continue
        if not event.episode_id:
            nameless += 1
            continue
        name = str(event.episode_id)
        spans.setdefault(name, EventSpan(name)).take(topic, received, event)
    for span in spans.values():
        span.judge()
    return sorted(spans.values(), key=lambda one: (one.begin, one.end)), nameless


def _events(path: Path) -> Iterator[tuple[str, int, Any]]:
    types = message_types()
    for connection, received, data in raw_messages(path, lambda one: one.msgtype == EVENT_TYPE):
        try:
            event = types.deserialize_cdr(data, EVENT_TYPE)
        except Exception as error:  # whatever the bytes are
            raise RecordingError(
                f"{path}: an event on {connection.topic} cannot be read, as of another version of "
                f"topreward_msgs ({one_line(error)}); take the bag as one episode with --whole, or "
                "give start and end of each in a labels.csv."
            ) from error
        yield connection.topic, received, event
