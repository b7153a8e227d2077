"""Frames that a model encodes together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class VideoUnit:
    """Frames that are encoded together.

    Attributes:
        frames: (frames_per_unit, height, width, 3) uint8 RGB.
        stamps: the frames' times in seconds since the episode's start.
        number: how many units came before in the episode, the dropped ones included.
    """

    frames: NDArray[np.uint8]
    stamps: tuple[float, ...]
    number: int


def unit_of(
    frames: Sequence[NDArray[np.uint8]], stamps: Sequence[float], size: int, number: int
) -> VideoUnit:
    """Makes one unit of up to `size` frames; one that is short of frames repeats its last."""
    missing = size - len(frames)
    return VideoUnit(
        np.stack([*frames, *[frames[-1]] * missing]),
        (*stamps, *[stamps[-1]] * missing),
        number,
    )


def units_of(
    frames: Sequence[NDArray[np.uint8]], stamps: Sequence[float], size: int
) -> list[VideoUnit]:
    """Cuts a whole video into units; the last one may repeat its last frame."""
    return [
        unit_of(frames[i : i + size], stamps[i : i + size], size, i // size)
        for i in range(0, len(frames), size)
    ]
