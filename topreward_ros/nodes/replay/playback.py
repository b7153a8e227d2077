"""When which picture of a recording is due, and with which stamp: passes, rate, shifted stamps.

Two clocks: a cue is due in seconds after the start by a steady clock, and bears a stamp in
nanoseconds of camera time. The rate changes the first and never the second: an episode played at
twice the speed has the stamps of the episode, and so the same readings.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from topreward_ros.video.image import ImageMessage
    from topreward_ros.video.recordings.recording import RecordedImage

NANO = 1_000_000_000


class Stamps(str, Enum):
    """What stands in `header.stamp`."""

    NOW = "now"
    """As if it happened now: the first picture gets the clock's time, the spacing is kept; in a
    loop time goes on."""
    RECORDED = "recorded"
    """As recorded; in a loop time jumps back."""


@dataclass(frozen=True)
class Cue:
    """A picture and its time.

    Attributes:
        due: s after the start of the playback, never less than that of the cue before.
        stamp: ns, for `header.stamp`.
        recorded: ns, as it was recorded.
        topic: where it was recorded.
        message: the recording's own message.
        number: of the pass, 1 first.
        played: s of camera time since the pass began.
    """

    due: float
    stamp: int
    recorded: int
    topic: str
    message: ImageMessage
    number: int
    played: float


class Playback:
    """One or endless passes through a recording."""

    def __init__(
        self,
        images: Callable[[], Iterable[RecordedImage]],
        *,
        rate: float = 1.0,
        loop: bool = False,
        stamps: Stamps = Stamps.NOW,
    ) -> None:
        """Plays nothing yet.

        Args:
            images: goes through the recording once each time it is called.
            rate: seconds of the recording per second.
            loop: pass after pass, without end.
            stamps: what the stamps are to be.

        Raises:
            ValueError: the rate is not a number above zero.
        """
        if not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"The rate is {rate}; expected a number above zero, usually 1.0.")
        self._images = images
        self._rate = rate
        self._loop = loop
        self._stamps = stamps

    def cues(self, now: int) -> Iterator[Cue]:
        """Yields what is due, in order.

        Args:
            now: ns, the stamp of the first picture where stamps are `NOW`.

        Raises:
            ValueError: the recording has no picture.
        """
        passed = 0  # ns of camera time in earlier passes
        due = 0.0
        for number in itertools.count(1):
            first = newest = None
            count = 0
            for image in self._images():
                topic, message = image.topic, image.message
                recorded = stamp_of(message)
                if first is None:
                    first = newest = recorded
                played = recorded - first
                elapsed = passed + played
                due = max(due, elapsed / NANO / self._rate)
                stamp = now + elapsed if self._stamps is Stamps.NOW else recorded
                yield Cue(due, stamp, recorded, topic, message, number, played / NANO)
                newest = max(newest, recorded)
                count += 1
            if first is None or newest is None:
                raise ValueError("The recording has no picture on the topics that are played.")
            if not self._loop:
                return
            # The next pass follows after one mean spacing, so that time never stands still.
            span = newest - first
            passed += span + (span // (count - 1) if count > 1 and span else NANO)


def how_far(cue: Cue, duration: float, pictures: int) -> str:
    """Returns in one sentence how far a playback is.

    Args:
        cue: the last one that was published.
        duration: s, of the recording.
        pictures: published so far, in all passes.
    """
    played = f"{cue.played:.0f} s played of {duration:.0f} s, {pictures} pictures"
    return f"{played}." if cue.number == 1 else f"Pass {cue.number}: {played} in all."


def stamp_of(message: ImageMessage) -> int:
    """Returns a message's `header.stamp` in ns; as float seconds it would not be exact."""
    stamp = message.header.stamp
    return int(stamp.sec) * NANO + int(stamp.nanosec)
