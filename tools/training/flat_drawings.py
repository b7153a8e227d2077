"""Drawings of squares and discs, as clips for training: nothing in them was done by a robot."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def flat_drawing(count: int, size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draws shapes of random colours that slide over a plain ground.

    Args:
        count: of frames.
        size: (height, width) px.
        rng: source of randomness.

    Returns:
        (count, height, width, 3) uint8 RGB.
    """
    height, width = size
    ground = rng.integers(0, 256, 3)
    shapes = int(rng.integers(2, 6))
    colours = rng.integers(0, 256, (shapes, 3))
    vivid = rng.random(shapes) < 0.7
    colours[vivid] = np.eye(4, 3, dtype=int)[rng.integers(0, 4, shapes)][vivid] * 215 + 20
    square = rng.random(shapes) < 0.5
    radius = rng.integers(width // 20, width // 6, shapes)
    begin = rng.uniform(0.1, 0.9, (shapes, 2))
    end = np.where(rng.random((shapes, 1)) < 0.5, rng.uniform(0.1, 0.9, (shapes, 2)), begin)
    if rng.random() < 0.5:
        end[0] = end[1] = begin[1]  # one comes to lie on another
    frames = np.empty((count, height, width, 3), np.uint8)
    for index, frame in enumerate(frames):
        frame[:] = ground
        part = min(1.0, 1.4 * index / max(count - 1, 1))
        for number in reversed(range(shapes)):
            place = (begin[number] + part * (end[number] - begin[number])) * (width, height)
            x, y = (int(value) for value in place)
            r, colour = int(radius[number]), tuple(map(int, colours[number]))
            if square[number]:
                cv2.rectangle(frame, (x - r, y - r), (x + r, y + r), colour, cv2.FILLED)
            else:
                cv2.circle(frame, (x, y), r, colour, cv2.FILLED)
    return frames
