"""Procedural textures of floors, tables and walls: what a lab's surfaces look like.

Each family is one way to cover a square with two colours. The families of the training world and
those of the test world are disjoint, so that a model that is tried on the test world has never
seen one like them.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = 128
"""Pixels along the side of a texture; it repeats without a seam, or nearly."""

Colour = NDArray[np.float64]
Pattern = Callable[[np.random.Generator], NDArray[np.float64]]
"""Draws how much of the second colour each pixel has: 0..1, shape (SIZE, SIZE)."""


def _grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    return rows, columns


def _noise(rng: np.random.Generator, cells: tuple[int, int]) -> NDArray[np.float64]:
    """Smooth noise of so many cells down and across, 0..1, without a seam."""
    drawn = rng.random(cells).astype(np.float32)
    wrapped = np.pad(drawn, 2, mode="wrap")
    scale = (SIZE // cells[0], SIZE // cells[1])
    size = (wrapped.shape[1] * scale[1], wrapped.shape[0] * scale[0])
    large = cv2.resize(wrapped, size, interpolation=cv2.INTER_CUBIC)
    top, left = 2 * scale[0], 2 * scale[1]
    return np.clip(large[top : top + SIZE, left : left + SIZE].astype(np.float64), 0.0, 1.0)


def _plain(rng: np.random.Generator) -> NDArray[np.float64]:
    return 0.12 * _noise(rng, (8, 8))


def _checker(rng: np.random.Generator) -> NDArray[np.float64]:
    rows, columns = _grid()
    count = 2 * int(rng.integers(1, 5))
    return ((np.floor(rows * count) + np.floor(columns * count)) % 2).astype(np.float64)


def _wood(rng: np.random.Generator) -> NDArray[np.float64]:
    rows, _ = _grid()
    planks = int(rng.integers(2, 6))
    grain = np.sin(2 * np.pi * (rows * 8 * planks + 1.5 * _noise(rng, (16, 2))))
    tone = np.repeat(rng.random(planks), int(np.ceil(SIZE / planks)))[:SIZE, np.newaxis]
    joint = (rows * planks) % 1.0 < 0.05
    return np.where(joint, 1.0, 0.25 + 0.2 * grain + 0.4 * tone)


def _cloth(rng: np.random.Generator) -> NDArray[np.float64]:
    rows, columns = _grid()
    threads = 2 ** int(rng.integers(3, 6))
    weave = np.sin(2 * np.pi * threads * rows) * np.sin(2 * np.pi * threads * columns)
    return 0.35 + 0.2 * weave + 0.4 * _noise(rng, (4, 4))


def _stripes(rng: np.random.Generator) -> NDArray[np.float64]:
    rows, columns = _grid()
    count, slant = int(rng.integers(2, 9)), int(rng.integers(-1, 2))
    return (((rows + slant * columns) * count) % 1.0 < rng.uniform(0.2, 0.6)).astype(np.float64)


def _speckled(rng: np.random.Generator) -> NDArray[np.float64]:
    return (rng.random((SIZE, SIZE)) < rng.uniform(0.05, 0.35)).astype(np.float64)


def _bricks(rng: np.random.Generator) -> NDArray[np.float64]:
    rows, columns = _grid()
    lines = 2 * int(rng.integers(2, 5))
    line = np.floor(rows * lines)
    across = (columns * lines / 2 + 0.5 * (line % 2)) % 1.0
    return ((rows * lines) % 1.0 < 0.14).astype(float) + (across < 0.07) * (
        (rows * lines) % 1.0 >= 0.14
    )


def _marble(rng: np.random.Generator) -> NDArray[np.float64]:
    rows, columns = _grid()
    warp = 1.6 * _noise(rng, (4, 4)) + 0.6 * _noise(rng, (16, 16))
    return np.abs(np.sin(np.pi * (rows + 2 * columns + warp))) ** 0.4


def _dots(rng: np.random.Generator) -> NDArray[np.float64]:
    rows, columns = _grid()
    count, radius = int(rng.integers(2, 7)), rng.uniform(0.2, 0.4)
    away = np.hypot((rows * count) % 1.0 - 0.5, (columns * count) % 1.0 - 0.5)
    return (away < radius).astype(np.float64)


def _zigzag(rng: np.random.Generator) -> NDArray[np.float64]:
    rows, columns = _grid()
    count = int(rng.integers(2, 6))
    bend = np.abs((columns * count) % 1.0 - 0.5)
    return ((rows * count + bend) % 1.0 < rng.uniform(0.25, 0.55)).astype(np.float64)


def _hexagons(rng: np.random.Generator) -> NDArray[np.float64]:
    rows, columns = _grid()
    count = int(rng.integers(2, 5))
    x, y = columns * count, rows * count
    nearest = [
        np.hypot((x + shift) % 1.0 - 0.5, 0.87 * ((y + shift) % 1.0 - 0.5)) for shift in (0.0, 0.5)
    ]
    return (np.abs(nearest[0] - nearest[1]) < 0.06).astype(np.float64)


PATTERNS: dict[str, Pattern] = {
    "plain": _plain,
    "checker": _checker,
    "wood": _wood,
    "cloth": _cloth,
    "stripes": _stripes,
    "speckled": _speckled,
    "bricks": _bricks,
    "marble": _marble,
    "dots": _dots,
    "zigzag": _zigzag,
    "hexagons": _hexagons,
}


def paint(
    family: str, colours: tuple[Colour, Colour], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Paints a texture.

    Args:
        family: one of `PATTERNS`.
        colours: two RGB colours, 0..1.
        rng: source of randomness.

    Returns:
        uint8 RGB, shape (SIZE, SIZE, 3).
    """
    part = np.clip(PATTERNS[family](rng), 0.0, 1.0)[..., np.newaxis]
    mixed = (1.0 - part) * np.asarray(colours[0]) + part * np.asarray(colours[1])
    return np.clip(np.rint(255.0 * mixed), 0, 255).astype(np.uint8)
