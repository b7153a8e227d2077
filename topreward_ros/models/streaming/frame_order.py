"""What a session takes as the next frame."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


class FrameOrder:
    """Counts the frames of an episode and refuses one that does not belong."""

    def __init__(self, frame_size: tuple[int, int]) -> None:
        """Expects frames of (height, width) px."""
        self.frames = 0
        self._shape = (*frame_size, 3)
        self._last = -math.inf

    def check(self, frame: NDArray[np.uint8], stamp: float) -> None:
        """Accepts the next frame.

        Raises:
            ValueError: wrong shape or type, or a stamp that is not later than the last.
        """
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(
                f"Got a frame of shape {frame.shape} and type {frame.dtype}; this model was set up "
                f"for {self._shape} of uint8. Resize frames before they are appended."
            )
        if not math.isfinite(stamp) or stamp < 0 or stamp <= self._last:
            raise ValueError(
                f"Got a frame at {stamp} s after one at {self._last} s; stamps count from the "
                "episode's start and must grow. Start a new session when time jumps back."
            )
        self._last = stamp
        self.frames += 1

    def require_frames(self) -> None:
        """Raises ValueError as long as there is nothing to score."""
        if not self.frames:
            raise ValueError("There is no frame to score yet; append one first.")
