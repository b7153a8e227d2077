"""Where a camera's time jumped in a bag.

The node ends an episode with the picture by which it is sure of the jump, and begins the next one
with that picture; the events that tell of it are recorded after it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from topreward_ros.video.camera_clock import CameraClock
from topreward_ros.video.recordings.bag import IMAGE_TYPES, picture_stamp
from topreward_ros.video.recordings.bag_messages import raw_messages
from topreward_ros.video.selection import ClockJump

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from topreward_ros.offline.episodes.bag_events import EventSpan


def cut_at_jumps(path: Path, spans: Sequence[EventSpan], at_once: int) -> None:
    """Moves the ends that a jump brought, and the starts after them, to the picture that jumped.

    Args:
        path: the bag.
        spans: its episodes, in order of time; changed in place.
        at_once: ns between an end and the start that belongs to it, at most.
    """
    for span, later in pairwise([*spans, None]):
        if span is None or not span.jumped or span.stop is None:
            continue
        place = _last_jump(path, span.begin, span.stop)
        if place is None:
            continue
        if later is not None and 0 <= later.begin - span.stop <= at_once:
            later.start, later.late = place, 0.0
        span.stop = place


def _last_jump(path: Path, start: int, stop: int) -> int | None:
    """Returns ns of the recorder's clock; None where no camera's time jumped."""
    clocks: dict[str, CameraClock] = {}
    found = None
    messages = raw_messages(path, lambda one: one.msgtype in IMAGE_TYPES, start, stop)
    for connection, received, data in messages:
        clock = clocks.setdefault(connection.topic, CameraClock(connection.topic))
        seconds, nanoseconds = picture_stamp(data)
        try:
            clock.judge(seconds + nanoseconds * 1e-9, received * 1e-9)
        except ClockJump:
            found = received
            clock.reset()
    return found
