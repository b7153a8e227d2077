"""Pictures of the episodes that the demo model decides worst."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from tools.evaluation.scored import Scored
from tools.simulation.recorded_set import load

PICTURES = 8
"""Of each episode."""
LOWEST = -20.0
"""Nat; a level that no threshold latches at counts as this."""


def worst(scored: Sequence[Scored], threshold: float, count: int = 4) -> list[int]:
    """Numbers of the episodes whose level is farthest on the wrong side, or nearest to it."""

    def error(number: int) -> float:
        above = max(scored[number].level, LOWEST) - threshold
        return -above if scored[number].success else above

    return sorted(range(len(scored)), key=error, reverse=True)[:count]


def draw_worst(folder: Path, numbers: Sequence[int], path: Path) -> None:
    """Draws a row of pictures of each episode, from its start to its end.

    Args:
        folder: of the episodes, made by `record_dataset`.
        numbers: of episodes in it.
        path: of the picture.
    """
    episodes, strips = load(folder), []
    for number in numbers:
        frames = episodes[number]["frames"]
        chosen = np.linspace(0, len(frames) - 1, PICTURES).round().astype(int)
        strips.append(np.concatenate(list(frames[chosen]), axis=1))
    cv2.imwrite(str(path), np.concatenate(strips)[:, :, ::-1])
