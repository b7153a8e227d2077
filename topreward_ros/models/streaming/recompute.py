"""Every score from scratch, by the model's public forward: the yardstick of all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from topreward_ros.models.backbone import Backbone
from topreward_ros.models.streaming.kept_session import KeptSession
from topreward_ros.models.video_unit import VideoUnit


class RecomputeSession(KeptSession):
    """One episode's video as plain frames."""

    def __init__(self, backbone: Backbone, max_units: int) -> None:
        """Keeps at most `max_units` units of frames, thinned as a streaming session does."""
        super().__init__(backbone.frame_size, backbone.capabilities.frames_per_unit, max_units)
        self.backbone = backbone

    def restore(self, units: Sequence[VideoUnit], frames: int) -> None:
        """Goes on with a video that another session has kept; see `restored_thinning`."""
        self.video.restore(units, frames)

    @torch.inference_mode()
    def log_probs(self, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Returns one log-probability per instruction, in nats, shape (n,)."""
        video = self.video.units()
        return np.array([self.backbone.reference_log_prob(video, text) for text in instructions])
