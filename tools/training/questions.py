"""What is asked about a clip in training: which instructions, and after how many frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tools.simulation.instructions import COLOURS, all_instructions, instruction_text
from tools.training.targets import HELD


def question_indices(colours: NDArray[np.int64], count: int, rng: np.random.Generator) -> list[int]:
    """The right instruction, and wrong ones of which the near misses are the likelier."""
    names = list(COLOURS)
    texts = all_instructions()
    cube, disc, other_cube, other_disc = (names[index] for index in colours)
    right = texts.index(instruction_text(cube, disc))
    weights = np.full(len(texts), 1.0)
    for index, text in enumerate(texts):
        words = text.split()
        if words[2] == cube:
            weights[index] = 4.0 if words[-2] == other_disc else 2.0
        elif words[-2] == disc:
            weights[index] = 4.0 if words[2] == other_cube else 2.0
    weights[right] = 0.0
    wrong = rng.choice(len(texts), count - 1, replace=False, p=weights / weights.sum())
    return [right, *map(int, wrong)]


def prefix_lengths(target: NDArray[np.float32], count: int, rng: np.random.Generator) -> list[int]:
    """Which prefixes are scored: the whole, some near the moment of success, others anywhere."""
    total = len(target)
    chosen = {total}
    done = np.flatnonzero((target > 0).any(axis=1))
    if len(done):
        chosen.add(int(np.clip(done[0] + 1 + rng.integers(-1, 2), 1, total)))
    rest = np.asarray([n for n in range(1, total + 1) if n not in chosen], int)
    more = min(max(count - len(chosen), 0), len(rest))
    if more:
        # most where something is under way: there the scene decides, and not the clock
        weight = np.where((target[rest - 1] > HELD).any(axis=1), 3.0, 1.0)
        drawn = rng.choice(rest, more, replace=False, p=weight / weight.sum())
        chosen |= set(map(int, drawn))
    return sorted(chosen)
