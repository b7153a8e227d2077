"""Whether something moved: time alone must not add frames to the video.

The model's log-probability drifts with the length of the video even on a frozen picture, so frames
that show nothing new can be left out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_THRESHOLD = 4.0
"""Grey levels; above what sensor noise of 6 levels reaches, below a small object's move."""
MIN_BLOCK = 12
"""Pixels a side; smaller blocks do not average the noise out."""
BLOCKS = 16
"""Blocks a side in larger pictures."""


class MotionGate:
    """Compares frames with the last one that was kept."""

    def __init__(self, threshold: float = DEFAULT_THRESHOLD) -> None:
        """Starts without a kept frame.

        Args:
            threshold: grey levels (0 to 255) of `change` above which a frame is new.

        Raises:
            ValueError: the threshold is not a number from 0 to 255.
        """
        if not 0 <= threshold <= 255:
            raise ValueError(
                f"The motion threshold is {threshold} grey levels; expected 0 to 255, usually "
                f"{DEFAULT_THRESHOLD}."
            )
        self.threshold = threshold
        self._kept: NDArray[np.float32] | None = None

    def reset(self) -> None:
        """Forgets the kept frame; the next one is new."""
        self._kept = None

    def is_new(self, frame: NDArray[np.uint8]) -> bool:
        """Says whether a frame shows something new, and keeps it for comparison if so.

        Args:
            frame: uint8 RGB of shape (height, width, 3). The first one is new, and so is one of
                another size.
        """
        smooth = _smooth(frame)
        comparable = self._kept is not None and self._kept.shape == smooth.shape
        if comparable and change(self._kept, smooth) <= self.threshold:
            return False
        self._kept = smooth
        return True


def change(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Returns how much the most changed block of a picture changed, in grey levels.

    A shift of a whole channel, as an automatic exposure makes it, does not count: each channel's
    median difference is taken out first. Blocks average the absolute differences, so something
    that moves within one block is seen as well.

    Args:
        before: float32 of shape (height, width, 3), smoothed.
        after: the same shape.
    """
    difference = after - before
    difference -= np.median(difference[::2, ::2], axis=(0, 1))
    blocks = cv2.resize(
        np.abs(difference), _blocks(*before.shape[:2]), interpolation=cv2.INTER_AREA
    )
    return float(blocks.max())


def _smooth(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    return cv2.GaussianBlur(np.float32(frame), (0, 0), sigmaX=1.5)


def _blocks(height: int, width: int) -> tuple[int, int]:
    """Number of blocks (across, down), in OpenCV's order."""

    def along(side: int) -> int:
        return max(1, math.floor(side / max(MIN_BLOCK, side / BLOCKS)))

    return along(width), along(height)
