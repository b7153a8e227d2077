"""A session for models whose frames see each other, so that a new frame changes all old ones.

Only the vision tower's features of a frame stay valid; the language model reads the whole video
again when a frame comes. Questions about the same frames share that one pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from topreward_ros.models.backbone import Backbone, Chunk
from topreward_ros.models.streaming.questions import Questions
from topreward_ros.models.streaming.recompute import RecomputeSession
from topreward_ros.models.streaming.video_memory import VideoMemory


class VisionCacheSession(RecomputeSession):
    """One episode's video as features of its frames."""

    def __init__(self, backbone: Backbone, memory: VideoMemory) -> None:
        """Takes the cache over from whatever session used it before.

        Args:
            backbone: the model.
            memory: its caches, of which one is used; a session that used them before refuses from
                now on. It says how many units are kept, thinned as a streaming session does.
        """
        super().__init__(backbone, memory.max_units)
        memory.begin(self)
        self._memory, self._track = memory, memory.main
        self._questions = Questions(backbone)
        self._features: dict[tuple[float, ...], Chunk] = {}

    @torch.inference_mode()
    def log_probs(self, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Returns one log-probability per instruction, in nats, shape (n,)."""
        self._memory.check(self)
        video = {unit.stamps: unit for unit in self.video.units()}
        groups = list(self._questions.groups(instructions))
        if list(video) != list(self._features):
            self._features = {
                stamps: self._features.get(stamps) or self.backbone.unit(unit)
                for stamps, unit in video.items()
            }
            self._track.clear()
            self._track.append([*self._features.values()])
        scores = [self._track.score([], [], group) for group in groups]
        return torch.cat(scores).double().cpu().numpy() if scores else np.empty(0)
