"""One episode's video as plain frames: what is kept of it, and can be read or sent as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from topreward_ros.models.streaming.frame_order import FrameOrder
from topreward_ros.models.streaming.thinning import Thinning, thinned
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
        if len(self._units[newest]) == self._size:
            self._thinning.take(newest)

    def restore(self, units: Sequence[VideoUnit], frames: int) -> None:
        """Goes on with a video that another one has kept; see `restored_thinning`."""
        self._thinning = restored_thinning(
            self._order, units, frames, self._size, self._thinning.limit
        )
        self._units = {
            unit.number: list(zip(unit.frames, unit.stamps, strict=True)) for unit in units
        }
        if loose := frames % self._size:
            del self._units[self._newest][loose:]

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


def restored_thinning(
    order: FrameOrder, units: Sequence[VideoUnit], frames: int, size: int, limit: int
) -> Thinning:
    """Takes over what `KeptVideo.units` returned of a video, into a session that has none yet.

    Args:
        order: of the session; has passed all frames afterwards.
        units: that are kept, with the newest one.
        frames: of the video, the dropped ones included.
        size: frames of a unit.
        limit: units kept at most, there as here.

    Returns:
        The thinning of such a video.

    Raises:
        ValueError: the session has frames, or these are not the units that are kept of such a
            video, or one of their frames does not belong.
    """
    if order.frames or frames < 1:
        raise ValueError(
            f"A video of {frames} frames cannot go on in a session of {order.frames}; expected 1 "
            "or more, and a session that has just begun."
        )
    thinning = thinned(frames // size, limit)
    expected = sorted({*thinning.kept, (frames - 1) // size})
    if [unit.number for unit in units] != expected:
        raise ValueError(
            f"These are not the units that are kept of {frames} frames with a max_pairs of "
            f"{limit}; expected the {len(expected)} from {expected[0]} to {expected[-1]}."
        )
    for unit in units:
        own = min(size, frames - unit.number * size)
        for frame, stamp in zip(unit.frames[:own], unit.stamps[:own], strict=True):
            order.check(frame, stamp)
    order.frames = frames
    return thinning
