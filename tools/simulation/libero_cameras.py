"""A LIBERO scene as the two cameras of the Franka rig see it.

The physics comes from LIBERO and stays as it is; a copy of its model is drawn, without shadows and
smoothed edges, which take most of the time on a machine without a GPU.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

COLLISION_SHAPES = 0
"""The group of shapes that only collide."""


class Camera(NamedTuple):
    """A camera of the rig.

    Attributes:
        topic: of its compressed pictures.
        frame_id: of their headers.
        name: in the simulation.
    """

    topic: str
    frame_id: str
    name: str


CAMERAS = (
    Camera(
        "/camera/third_person/color/image_raw/compressed",
        "third_person_color_optical_frame",
        "agentview",
    ),
    Camera(
        "/camera/wrist_camera/color/image_rect_raw/compressed",
        "wrist_camera_color_optical_frame",
        "robot0_eye_in_hand",
    ),
)
"""As config/rigs/franka.yaml has them."""


class LiberoPainter:
    """Draws a scene at any joint positions.

    Args:
        model: what is simulated.
        width: of the pictures, pixels.
        height: of the pictures, pixels.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        self._model = copy.deepcopy(model)
        self._model.vis.quality.offsamples = 0
        self._model.vis.global_.offwidth, self._model.vis.global_.offheight = width, height
        self._data = mujoco.MjData(self._model)
        self._renderer = mujoco.Renderer(self._model, height, width)
        self._shown = mujoco.MjvOption()
        self._shown.geomgroup[COLLISION_SHAPES] = 0

    def place(self, qpos: NDArray[np.float64]) -> None:
        """Puts everything where it is to be drawn.

        Args:
            qpos: all joint positions, shape (n,).
        """
        self._data.qpos[:] = qpos
        mujoco.mj_forward(self._model, self._data)

    def picture(self, camera: Camera) -> NDArray[np.uint8]:
        """What a camera sees, uint8 RGB of shape (height, width, 3)."""
        self._renderer.update_scene(self._data, camera.name, self._shown)
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        return self._renderer.render()

    def close(self) -> None:
        """Frees what the drawing took."""
        self._renderer.close()
