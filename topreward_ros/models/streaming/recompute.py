"""Every score from scratch, by the model's public forward: the yardstick of all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from topreward_ros.models.backbone import Backbone
from topreward_ros.models.streaming.kept_video import KeptVideo
from topreward_ros.models.video_unit import VideoUnit


class RecomputeSession:
    """One episode's video as plain frames."""

    def __init__(self, backbone: Backbone, max_units: int) -> None:
        """Keeps at most `max_units` units of frames, thinned as a streaming session does."""
        self.backbone = backbone
        self.video = KeptVideo(
            backbone.frame_size, backbone.capabilities.frames_per_unit, max_units
        )

    @property
    def frames(self) -> int:
        """Number of frames appended so far."""
        return self.video.frames

    def append(self, frame: NDArray[np.uint8], stamp: float) -> None:
        """Adds the next frame; see `VideoSession.append`."""
        self.video.append(frame, stamp)

    def restore(self, units: Sequence[VideoUnit], frames: int) -> None:
        """Goes on with a video that another session has kept; see `restored_thinning`."""
        self.video.restore(units, frames)

    def log_prob(self, instruction: str) -> float:
        """Returns log p(answer | video so far, instruction) in nats."""
        return float(self.log_probs([instruction])[0])

    @torch.inference_mode()
    def log_probs(self, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Returns one log-probability per instruction, in nats, shape (n,)."""
        video = self.video.units()
        return np.array([self.backbone.reference_log_prob(video, text) for text in instructions])

    def settle(self) -> None:
        """Does nothing: no work is left for later."""
