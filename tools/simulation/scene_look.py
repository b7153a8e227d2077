"""What one episode looks like: colours, places, surfaces, things that lie about, lamps, camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.simulation.instructions import COLOURS, instruction_text
from tools.simulation.worlds import AMBIENT, LIGHT, World, draw_from, draw_lens

THINGS = 4
"""Distractors at most."""
PLAIN_SHARE = 0.15
"""Of the looks that have nothing in them but the arm, two cubes, two discs and one surface."""
ONE_COLOUR = 0.15
"""Of the tasks that put a cube on a disc of its own colour."""
APART = 0.33
"""Least distance of a surface's colour from those of the cubes and discs on it (RGB, 0..1)."""
RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Surface:
    """A floor, a table top or a wall.

    Attributes:
        family: of `surfaces.PATTERNS`.
        colours: two RGB colours, 0..1.
        repeats: of the texture a metre.
        seed: of the texture's randomness.
    """

    family: str
    colours: tuple[RGB, RGB]
    repeats: float
    seed: int


@dataclass(frozen=True)
class Thing:
    """A distractor: it stands there and has no part in any task.

    Attributes:
        shape: a name of `World.things`.
        rgb: colour, 0..1.
        size: half-sizes along its axes, metres.
        xy: where it stands, metres.
        yaw: rotation about the vertical, radians.
    """

    shape: str
    rgb: RGB
    size: tuple[float, float, float]
    xy: tuple[float, float]
    yaw: float


@dataclass(frozen=True)
class SceneLook:
    """Everything about one episode's picture that does not move.

    Attributes:
        world: name of the world.
        cube: colour name of the cube that is moved.
        disc: colour name of the disc at the environment's goal.
        other_cube: colour name of the cube that stays where it is.
        other_disc: colour name of the disc away from the goal.
        goal_xy: the goal in world coordinates, metres.
        other_cube_xy: where the second cube stands, metres.
        other_disc_xy: where the second disc lies, metres.
        shades: factor on each part's colour, in the order cube, disc, other cube, other disc.
        other_cube_yaw: rotation of the second cube, radians.
        azimuth: of the camera, degrees.
        elevation: of the camera, degrees.
        distance: of the camera from where it looks, metres.
        view: vertical field of view, degrees.
        aim: how far it looks past the middle of the table, metres (x, y).
        light: brightness of the lamp, 1 is the usual one.
        lamp: RGB factors of the lamp's colour.
        ambient: brightness of the light from everywhere.
        light_xy: where the lamp stands, metres.
        floor: the surface under the arm, or under its table.
        table: a table top, or None: the arm stands on the floor.
        table_half: half-sizes of the table top, metres.
        drop: metres from the table top down to the floor.
        wall: surface of the two walls, or None.
        wall_at: metres from the arm's base to each wall (towards -x, towards +y).
        things: distractors.
    """

    world: str
    cube: str
    disc: str
    other_cube: str
    other_disc: str
    goal_xy: tuple[float, float]
    other_cube_xy: tuple[float, float]
    other_disc_xy: tuple[float, float]
    shades: tuple[float, float, float, float]
    other_cube_yaw: float
    azimuth: float
    elevation: float
    distance: float
    view: float
    aim: tuple[float, float]
    light: float
    lamp: RGB
    ambient: float
    light_xy: tuple[float, float]
    floor: Surface
    table: Surface | None
    table_half: tuple[float, float]
    drop: float
    wall: Surface | None
    wall_at: tuple[float, float]
    things: tuple[Thing, ...]

    @property
    def instruction(self) -> str:
        """The task that the arm is meant to do."""
        return instruction_text(self.cube, self.disc)


def far_from(
    rng: np.random.Generator,
    others: list[tuple[NDArray[np.float64], float]],
    low: tuple[float, float] = (0.14, -0.12),
    high: tuple[float, float] = (0.30, 0.12),
) -> NDArray[np.float64]:
    """A place on the table at least the given distances from the given places, in metres."""
    best, best_slack = np.zeros(2), -np.inf
    for _ in range(200):
        place = rng.uniform(low, high)
        slack = min(np.linalg.norm(place - other) - gap for other, gap in others)
        if slack >= 0:
            return place
        if slack > best_slack:
            best, best_slack = place, slack
    return best


def random_look(
    rng: np.random.Generator,
    cube_xy: NDArray[np.float64],
    goal_xy: NDArray[np.float64],
    world: World,
) -> SceneLook:
    """Draws an episode's look; colours and places come first and are the same in every world.

    Args:
        rng: source of randomness.
        cube_xy: where the cube stands at first, metres, shape (2,).
        goal_xy: the environment's goal, metres, shape (2,).
        world: what it is drawn from.
    """
    names = list(COLOURS)
    cube, other_cube = map(str, rng.choice(names, 2, replace=False))
    one_colour = rng.random() < ONE_COLOUR
    disc = cube if one_colour else str(rng.choice([n for n in names if n != cube]))
    other_disc = str(rng.choice([n for n in names if n != disc]))
    other_disc_xy = far_from(rng, [(goal_xy, 0.085), (cube_xy, 0.075)])
    other_cube_xy = far_from(rng, [(goal_xy, 0.085), (cube_xy, 0.085), (other_disc_xy, 0.07)])
    shades = tuple(map(float, rng.uniform(0.85, 1.1, 4)))
    yaw = float(rng.uniform(-0.6, 0.6))
    light, ambient = float(rng.uniform(*LIGHT)), float(rng.uniform(*AMBIENT))
    lamp = tuple(map(float, rng.uniform(0.88, 1.0, 3)))
    light_xy = tuple(map(float, rng.uniform([-0.4, -0.8], [0.9, 0.8])))
    used = [COLOURS[name] for name in {cube, disc, other_cube, other_disc}]
    bare = rng.random() < PLAIN_SHARE
    with_table, with_wall = not bare and rng.random() < 0.6, not bare and rng.random() < 0.7
    distance, view = draw_lens(rng)
    standing = [goal_xy, cube_xy, other_disc_xy, other_cube_xy]
    return SceneLook(
        world=world.name,
        cube=cube,
        disc=disc,
        other_cube=other_cube,
        other_disc=other_disc,
        goal_xy=tuple(map(float, goal_xy)),
        other_cube_xy=tuple(map(float, other_cube_xy)),
        other_disc_xy=tuple(map(float, other_disc_xy)),
        shades=shades,
        other_cube_yaw=yaw,
        azimuth=draw_from(rng, world.azimuths),
        elevation=draw_from(rng, world.elevations),
        distance=distance,
        view=view,
        aim=tuple(map(float, rng.uniform(-0.025, 0.025, 2))),
        light=light,
        lamp=lamp,
        ambient=ambient,
        light_xy=light_xy,
        floor=_surface(rng, world, used),
        table=_surface(rng, world, used) if with_table else None,
        table_half=tuple(map(float, rng.uniform([0.30, 0.30], [0.6, 0.7]))),
        drop=float(rng.uniform(0.1, 0.75)),
        wall=_surface(rng, world, used) if with_wall else None,
        wall_at=tuple(map(float, rng.uniform([0.25, 0.35], [0.9, 1.0]))),
        things=() if bare else _things(rng, world, standing),
    )


def _surface(rng: np.random.Generator, world: World, used: list[RGB]) -> Surface:
    first = _colour(rng, used)
    # two shades of one colour as often as two colours
    if rng.random() < 0.5:
        second = tuple(float(c) for c in np.clip(np.asarray(first) * rng.uniform(0.55, 0.85), 0, 1))
        if min(np.linalg.norm(np.asarray(second) - one) for one in map(np.asarray, used)) < APART:
            second = _colour(rng, used)
    else:
        second = _colour(rng, used)
    repeats = float(np.exp(rng.uniform(np.log(2.5), np.log(12.0))))
    return Surface(
        str(rng.choice(world.surfaces)), (first, second), repeats, int(rng.integers(2**31))
    )


def _colour(rng: np.random.Generator, used: list[RGB]) -> RGB:
    """A surface's colour, from nearly black to nearly white, that no cube or disc is lost on."""
    while True:
        value, saturation = rng.uniform(0.06, 0.95), rng.beta(1.0, 2.2) * 0.85
        tint = rng.uniform(0.0, 1.0, 3)
        tint = (tint - tint.min()) / max(np.ptp(tint), 1e-6)
        colour = value * (1.0 - saturation * (1.0 - tint))
        if min(np.linalg.norm(colour - np.asarray(one)) for one in used) >= APART:
            return tuple(map(float, colour))


def _things(
    rng: np.random.Generator, world: World, standing: list[NDArray[np.float64]]
) -> tuple[Thing, ...]:
    found: list[Thing] = []
    taken = [(place, 0.075) for place in standing]
    for _ in range(int(rng.integers(0, THINGS + 1))):
        shape = str(rng.choice(world.things))
        known = dict(world.thing_colours)
        if shape != "box" and rng.random() < 0.35:
            known = COLOURS
        rgb = np.asarray(known[str(rng.choice(list(known)))]) * rng.uniform(0.8, 1.1)
        # beside the arm's way: they are drawn only, and it would pass through them
        side = int(rng.integers(3))
        low, high = (
            ((0.02, 0.165), (0.36, 0.28)),
            ((0.02, -0.28), (0.36, -0.165)),
            ((0.36, -0.2), (0.42, 0.2)),
        )[side]
        place = far_from(rng, taken, low, high)
        taken.append((place, 0.08))
        size = tuple(map(float, rng.uniform(0.012, 0.032, 3)))
        found.append(
            Thing(
                shape,
                tuple(map(float, np.clip(rgb, 0.0, 1.0))),
                size,
                (float(place[0]), float(place[1])),
                float(rng.uniform(0.0, np.pi)),
            )
        )
    return tuple(found)
