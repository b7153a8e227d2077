"""How others evaluate 15 prefixes of an episode, by their published recipes, on the same model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from topreward_ros.models.backbone import Backbone, unit_of

WINDOW = 16


@torch.inference_mode()
def lerobot_style(
    backbone: Backbone,
    frames: Sequence[NDArray[np.uint8]],
    stamps: Sequence[float],
    task: str,
    lengths: Sequence[int],
) -> list[float]:
    """One full forward per prefix over its last 16 frames (LeRobot's `compute_reward`)."""
    scores = []
    for length in lengths:
        window = slice(max(0, length - WINDOW), length)
        times = [stamp - stamps[window.start] for stamp in stamps[window]]
        scores.append(backbone.reference_log_prob(frames[window], times, task))
    return scores


@torch.inference_mode()
def full_prefixes(
    backbone: Backbone,
    frames: Sequence[NDArray[np.uint8]],
    stamps: Sequence[float],
    task: str,
    lengths: Sequence[int],
) -> list[float]:
    """One full forward per true prefix (LeRobot's `compute_rabc_weights`, ours without a cache)."""
    return [backbone.reference_log_prob(frames[:n], stamps[:n], task) for n in lengths]


@torch.inference_mode()
def authors_style(
    backbone: Backbone,
    frames: Sequence[NDArray[np.uint8]],
    stamps: Sequence[float],
    task: str,
    lengths: Sequence[int],
) -> list[float]:
    """True prefixes on a cache of the language model's, all frames encoded anew for each prefix.

    This is the authors' offline evaluation as described: keys and values of the common prefix are
    kept from one prefix to the next, the vision tower's work is not.
    """
    preamble, suffix = backbone.preamble(), backbone.suffix(task)
    cache = backbone.new_cache(
        len(preamble) + (len(frames) // 2 + 2) * backbone.unit_tokens + len(suffix)
    )
    backbone.hidden([preamble], [0], cache, None)
    position, held, scores = preamble.advance, 0, []
    for length in lengths:
        units = [
            backbone.unit(
                *unit_of(frames[i : min(i + 2, length)], stamps[i : min(i + 2, length)], 2)
            )
            for i in range(0, length, 2)
        ]
        whole = length // 2
        for unit in units[held:whole]:
            backbone.hidden([unit], [position], cache, None)
            position += unit.advance
        held, mark = whole, cache.mark()
        tail = [*units[whole:], suffix]
        starts = [position, position + tail[0].advance][: len(tail)]
        hidden = backbone.hidden(tail, starts, cache, None)
        scores.append(backbone.answer(hidden[-1:]).item())
        cache.rewind(mark)
    return scores
