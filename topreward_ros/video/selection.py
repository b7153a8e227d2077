"""Which frames of a camera's stream become video, by the camera's own time."""

from __future__ import annotations

import math

STAMP_TOLERANCE = 1e-6
"""Seconds. Today's stamps as float64 seconds are 0.24 µs apart."""

LONGEST_STEP = 1.5
"""Sampling periods between two frames, above which there is a hole between them."""


class ClockJump(ValueError):
    """The camera's time went back or jumped ahead; what follows cannot belong to the same video."""


class FrameSelector:
    """Takes the first frame at or after each instant t0 + k / rate, where t0 is the first stamp.

    Instants that pass without a frame are left out: after a gap there is no burst, and the grid
    stays where it was.
    """

    def __init__(self, sample_rate: float) -> None:
        """Starts without a frame.

        Args:
            sample_rate: frames per second of camera time.

        Raises:
            ValueError: the rate is not a number above zero.
        """
        if not (math.isfinite(sample_rate) and sample_rate > 0):
            raise ValueError(
                f"The sample rate is {sample_rate} frames per second; expected a number above "
                "zero, usually 2.0."
            )
        self.sample_rate = sample_rate
        self.reset()

    def reset(self) -> None:
        """Forgets everything; the next frame is a first one."""
        self._start: float | None = None
        self._taken = 0
        self._newest = -math.inf

    def is_due(self, stamp: float) -> bool:
        """Says whether a frame of this time is to be taken; takes nothing.

        Args:
            stamp: seconds, not before the newest one seen. The same stamp again is a duplicate
                and never due.

        Raises:
            ClockJump: the stamp lies before one seen earlier.
            ValueError: the stamp is not a finite number.
        """
        if not math.isfinite(stamp):
            raise ValueError(f"The stamp is {stamp} s; expected a finite number.")
        if stamp < self._newest:
            raise ClockJump(
                f"Camera time went back from {self._newest:.3f} s to {stamp:.3f} s; "
                "a new episode must start."
            )
        self._newest = stamp
        return self._start is None or self._instant(stamp) > self._taken

    def take(self, stamp: float) -> None:
        """Notes that the frame of this time was taken: no other is due before the next instant."""
        if self._start is None:
            self._start = stamp
        self._newest = max(self._newest, stamp)
        self._taken = self._instant(stamp)

    def offer(self, stamp: float) -> bool:
        """Takes the frame of this time if it is due, and says whether it was.

        Raises:
            ClockJump: the stamp lies before one seen earlier.
        """
        due = self.is_due(stamp)
        if due:
            self.take(stamp)
        return due

    def _instant(self, stamp: float) -> int:
        """Number of the last instant at or before this stamp."""
        start = stamp if self._start is None else self._start
        return math.floor((stamp - start + STAMP_TOLERANCE) * self.sample_rate)
