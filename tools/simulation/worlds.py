"""The training world and the test world: what may vary in each.

They share the arm, the cubes, the discs and the lamps. Floors, distractors and cameras of the test
world are none that training has: other families of textures, other shapes and colours of things
that lie about, and cameras from ranges that training leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Range = tuple[float, float]


@dataclass(frozen=True)
class World:
    """What a world's looks are drawn from.

    Attributes:
        name: of the world.
        surfaces: families of floors, tables and walls, of `surfaces.PATTERNS`.
        things: shapes of the distractors.
        thing_colours: RGB of distractors, by name; besides them those of the cubes and discs, on
            shapes other than boxes.
        azimuths: ranges of the camera, degrees.
        elevations: ranges of the camera, degrees.
    """

    name: str
    surfaces: tuple[str, ...]
    things: tuple[str, ...]
    thing_colours: dict[str, tuple[float, float, float]]
    azimuths: tuple[Range, ...]
    elevations: tuple[Range, ...]


TRAINING = World(
    "training",
    ("plain", "checker", "wood", "cloth", "stripes", "speckled"),
    ("ball", "box", "tube"),
    {
        "yellow": (0.90, 0.78, 0.10),
        "purple": (0.46, 0.12, 0.58),
        "black": (0.05, 0.05, 0.05),
        "grey": (0.50, 0.50, 0.52),
    },
    ((80.0, 98.0), (112.0, 138.0), (152.0, 170.0)),
    ((-60.0, -46.0), (-38.0, -25.0)),
)
TEST = World(
    "test",
    ("bricks", "marble", "dots", "zigzag", "hexagons"),
    ("capsule", "ellipsoid"),
    {
        "orange": (0.95, 0.48, 0.05),
        "cyan": (0.10, 0.78, 0.80),
        "pink": (0.95, 0.45, 0.66),
        "brown": (0.40, 0.24, 0.10),
    },
    ((99.0, 111.0), (139.0, 151.0)),
    ((-45.0, -39.0),),
)
WORLDS = {world.name: world for world in (TRAINING, TEST)}

DISTANCE: Range = (0.45, 0.80)
"""Metres from the camera to where it looks."""
FIELD_OF_VIEW: Range = (28.0, 48.0)
"""Degrees, vertical."""
HALF_HEIGHT: Range = (0.155, 0.265)
"""Metres of the table that are seen above and below the middle: a camera is set up to show the
cubes, and not from anywhere with any lens."""
LIGHT: Range = (0.35, 1.7)
AMBIENT: Range = (0.15, 0.5)


def draw_from(rng: np.random.Generator, ranges: tuple[Range, ...]) -> float:
    """Draws a number from several ranges, evenly over all of them."""
    widths = np.asarray([high - low for low, high in ranges])
    low, high = ranges[int(rng.choice(len(ranges), p=widths / widths.sum()))]
    return float(rng.uniform(low, high))


def draw_lens(rng: np.random.Generator) -> tuple[float, float]:
    """Draws a camera's distance in metres and its vertical field of view in degrees."""
    while True:
        distance, view = rng.uniform(*DISTANCE), rng.uniform(*FIELD_OF_VIEW)
        half = distance * np.tan(np.radians(view) / 2)
        if HALF_HEIGHT[0] <= half <= HALF_HEIGHT[1]:
            return float(distance), float(view)
