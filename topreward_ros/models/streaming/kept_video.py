"""One episode's video as plain frames: what is kept of it, and can be read or sent as a whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from topreward_ros.models.streaming.frame_order import FrameOrder
from topreward_ros.models.streaming.thinning import Thinning
from topreward_ros.models.video_unit import VideoUnit, unit_of


class KeptVideo:
    """Keeps the same frames as a `StreamingSession`."""

    def __init__(self, frame_size: tuple[int, int], frames_per_unit: int, max_units: int) -> None:
        """Keeps nothing yet.

        Args:
            frame_size: (height, width) px.
            frames_per_unit: 1 or 2.
            max_units: units kept at most, even, at least 4; thinned as a streaming session does.
        """
        self._order = FrameOrder(frame_size)
        self._size = frames_per_unit
        self._thinning = Thinning(max_units)
        self._units: dict[int, list[tuple[NDArray[np.uint8], float]]] = {}

    @property
    def frames(self) -> int:
        """Number of frames appended so far."""
        return self._order.frames

    def append(self, frame: NDArray[np.uint8], stamp: float) -> None:
        """Adds the next frame; see `VideoSession.append`."""
        self._order.check(frame, stamp)
        newest = self._newest
        kept = {*self._thinning.kept, newest}
        self._units = {index: unit for index, unit in self._units.items() if index in kept}
        self._units.setdefault(newest, []).append((frame.copy(), stamp))
        if len(self._units[newest]) == self._size and self._thinning.keeps(newest):
            if self._thinning.full:
                self._thinning.thin()
            else:
                self._thinning.keep(newest)
            self._thinning.feed_shadow()

    def units(self) -> list[VideoUnit]:
        """Returns the units that are kept, oldest first, with the newest one.

        Raises:
            ValueError: there is no frame yet.
        """
        self._order.require_frames()
        kept = sorted({*self._thinning.kept, self._newest})
        return [
            unit_of(*zip(*self._units[number], strict=True), self._size, number) for number in kept
        ]

    @property
    def _newest(self) -> int:
        return (self.frames - 1) // self._size
