"""Every score from scratch, by the model's public forward: the yardstick of all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from topreward_ros.models.backbone import Backbone, VideoUnit, unit_of
from topreward_ros.models.streaming.frame_order import FrameOrder
from topreward_ros.models.streaming.thinning import Thinning


class RecomputeSession:
    """One episode's video as plain frames. Keeps the same frames as a `StreamingSession`."""

    def __init__(self, backbone: Backbone, max_units: int) -> None:
        """Keeps at most `max_units` units of frames, thinned as a streaming session does."""
        self.backbone = backbone
        self._order = FrameOrder(backbone.frame_size)
        self._size = backbone.capabilities.frames_per_unit
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

    def log_prob(self, instruction: str) -> float:
        """Returns log p(answer | video so far, instruction) in nats."""
        return float(self.log_probs([instruction])[0])

    @torch.inference_mode()
    def log_probs(self, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Returns one log-probability per instruction, in nats, shape (n,)."""
        video = self.video()
        return np.array([self.backbone.reference_log_prob(video, text) for text in instructions])

    def settle(self) -> None:
        """Does nothing: no work is left for later."""

    def video(self) -> list[VideoUnit]:
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
