"""What sessions share that keep their video as plain frames, here or to send them elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from topreward_ros.models.streaming.kept_video import KeptVideo


class KeptSession(ABC):
    """Implements `VideoSession` but for its scores.

    Attributes:
        video: what is kept.
    """

    def __init__(self, frame_size: tuple[int, int], frames_per_unit: int, max_units: int) -> None:
        """Keeps nothing yet; see `KeptVideo`."""
        self.video = KeptVideo(frame_size, frames_per_unit, max_units)

    @property
    def frames(self) -> int:
        """Number of frames appended so far."""
        return self.video.frames

    def append(self, frame: NDArray[np.uint8], stamp: float) -> None:
        """Adds the next frame; see `VideoSession.append`."""
        self.video.append(frame, stamp)

    def log_prob(self, instruction: str) -> float:
        """Returns log p(answer | video so far, instruction) in nats; see `VideoSession`."""
        return float(self.log_probs([instruction])[0])

    @abstractmethod
    def log_probs(self, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Returns one log-probability per instruction, in nats, shape (n,)."""

    def settle(self) -> None:  # noqa: B027 - a session may have nothing to prepare
        """Does nothing: no work is left for later."""
