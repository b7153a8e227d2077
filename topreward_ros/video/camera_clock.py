"""Whether a message's time goes on from its camera's last one: late, an outlier, or a jump.

Stamps come in small disorder from good cameras, and are now and then wrong by far. One message
alone is believed neither to have turned time back nor to have moved it ahead: its camera has to go
on from there for a while. Live, the progress of stamps is held against a clock of one's own.
"""

from __future__ import annotations

import math
from enum import Enum

from topreward_ros.video.selection import STAMP_TOLERANCE, ClockJump

LATE = 1.0
"""s by which a message may lie behind the newest and is merely late; it is left out."""
AHEAD = 1.0
"""s by which stamps may progress faster than one's own clock from one message to the next. What
comes in a burst after a pause lags behind that clock, so that only true jumps reach it."""
FASTEST = 10.0
"""Times as fast as one's own clock: a recording may be played so, with pauses."""
CONFIRMED = 0.5
"""s for which a camera must go on from a time that does not fit until it is believed."""


class Order(Enum):
    """What a message is in its camera's time."""

    NEWER = "newer"
    REPEATED = "repeated"
    LATE = "late"
    OUTLIER = "outlier"


class CameraClock:
    """The time of one camera.

    Attributes:
        stamp: s, of the newest message that was believed; minus infinity before the first.
    """

    def __init__(self, camera: str) -> None:
        """Starts without a message.

        Args:
            camera: its name, for the sentences.
        """
        self._camera = camera
        self.reset()

    def reset(self) -> None:
        """Forgets all times; the next message is a first one."""
        self.stamp = -math.inf
        self._arrived: float | None = None
        self._doubtful: tuple[float, float, float | None] | None = None

    def judge(self, stamp: float, arrived: float | None = None) -> Order:
        """Takes the next message in.

        Args:
            stamp: s of camera time, a finite number.
            arrived: s, when it was received, by a clock that goes as fast as the camera's; None:
                not known, and then time that moves ahead is taken for a pause of the camera.

        Returns:
            What it is. Only a newer one moves the camera's time.

        Raises:
            ClockJump: the camera goes on from another time, before or after; `reset` before going
                on.
        """
        step = stamp - self.stamp
        if step == 0:
            return Order.REPEATED
        if self._goes_on_from_doubtful(stamp, arrived):
            self._confirm(stamp, arrived)
            return Order.OUTLIER
        if step > 0 and not _too_far(step, self._arrived, arrived):
            self.stamp, self._arrived, self._doubtful = stamp, arrived, None
            return Order.NEWER
        if -LATE <= step < 0:
            return Order.LATE
        self._doubtful = stamp, stamp, arrived
        return Order.OUTLIER

    def _goes_on_from_doubtful(self, stamp: float, arrived: float | None) -> bool:
        if self._doubtful is None:
            return False
        _, last, since = self._doubtful
        step = stamp - last
        if None in (since, arrived):
            return 0 <= step <= AHEAD
        return step >= 0 and not _too_far(step, since, arrived)

    def _confirm(self, stamp: float, arrived: float | None) -> None:
        first = self._doubtful[0]
        if stamp - first >= CONFIRMED - STAMP_TOLERANCE:
            raise ClockJump(self._sentence(first))
        self._doubtful = first, stamp, arrived

    def _sentence(self, stamp: float) -> str:
        way = "went back" if stamp < self.stamp else "jumped ahead"
        return (
            f"The time of camera {self._camera!r} {way} from {self.stamp:.3f} s to {stamp:.3f} s; "
            "a new episode must start."
        )


def _too_far(step: float, before: float | None, now: float | None) -> bool:
    return None not in (before, now) and step > FASTEST * (now - before) + AHEAD
