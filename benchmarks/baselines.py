"""How others evaluate prefixes of an episode, by their published recipes, on the same model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from topreward_ros.models.backbone import Backbone
from topreward_ros.models.video_unit import units_of

WINDOW = 16
PAIR = 2


@dataclass(frozen=True)
class Evaluation:
    """Prefixes of one episode to be scored.

    Attributes:
        backbone: a Qwen3-VL.
        frames: (n, height, width, 3) uint8 RGB.
        stamps: seconds since the episode's start.
        task: the instruction.
        lengths: of the prefixes, in frames, growing.
    """

    backbone: Backbone
    frames: NDArray[np.uint8]
    stamps: Sequence[float]
    task: str
    lengths: Sequence[int]

    @torch.inference_mode()
    def last_frames(self) -> list[float]:
        """One full forward per prefix over its last 16 frames (LeRobot's `compute_reward`)."""
        return [self._forward(max(0, length - WINDOW), length) for length in self.lengths]

    @torch.inference_mode()
    def full_prefixes(self) -> list[float]:
        """One full forward per true prefix (LeRobot's `compute_rabc_weights`)."""
        return [self._forward(0, length) for length in self.lengths]

    @torch.inference_mode()
    def cached_prefixes(self) -> list[float]:
        """True prefixes on one cache of the language model's, all frames encoded for each.

        The authors' offline evaluation as it is described: keys and values of the common prefix
        are kept from one prefix to the next, the vision tower's work is not.
        """
        model = self.backbone
        preamble, suffix = model.preamble(), model.suffix(self.task)
        most = len(self.frames) // PAIR + 2
        cache = model.new_cache(len(preamble) + most * model.unit_tokens + len(suffix))
        model.hidden([preamble], [0], cache, None)
        position, held, scores = preamble.advance, 0, []
        for length in self.lengths:
            chunks = [
                model.unit(unit)
                for unit in units_of(self.frames[:length], self.stamps[:length], PAIR)
            ]
            for chunk in chunks[held : length // PAIR]:
                model.hidden([chunk], [position], cache, None)
                position += chunk.advance
            held, mark = length // PAIR, cache.mark()
            tail = [*chunks[held:], suffix]
            starts = [position, position + tail[0].advance][: len(tail)]
            hidden = model.hidden(tail, starts, cache, None)
            scores.append(model.answer(hidden[-1:]).item())
            cache.rewind(mark)
        return scores

    def _forward(self, first: int, end: int) -> float:
        stamps = [stamp - self.stamps[first] for stamp in self.stamps[first:end]]
        video = units_of(self.frames[first:end], stamps, PAIR)
        return self.backbone.reference_log_prob(video, self.task)
