"""How far a task has come in an episode, from the simulation's state alone."""

from __future__ import annotations

import numpy as np
from lerobot_env_so101.pick_place_env import PLACE_SUCCESS_DISTANCE
from lerobot_env_so101.scripted.pick_place import GRASP_HEIGHT
from numpy.typing import NDArray

from tools.simulation.so101_episodes import Episode, Truth


def task_progress(episode: Episode, instruction: str) -> NDArray[np.float64]:
    """How far a task has come at each control step, from the simulation's state alone.

    It depends on the present state, not on the clock: it falls when the cube is dropped.

    Args:
        episode: the episode.
        instruction: one of `all_instructions()`.

    Returns:
        Shape (T,): 0 nothing done, below 1 under way, 1 done.
    """
    look, truth = episode.look, episode.truth
    words = instruction.split()
    cube, disc = words[2], words[-2]
    discs = {
        look.disc: (look.goal_xy, truth.success),
        look.other_disc: (look.other_disc_xy, truth.success_other),
    }
    if cube not in (look.cube, look.other_cube) or disc not in discs:
        return np.zeros(len(episode.qpos))
    goal_xy, done = discs[disc]
    if cube != look.cube:
        standing = np.asarray([*look.other_cube_xy, truth.cube[0, 2]])
        return _approach(truth, np.broadcast_to(standing, truth.cube.shape), holding=False)
    to_goal = np.linalg.norm(truth.cube[:, :2] - np.asarray(goal_xy), axis=1)
    lift = np.clip((truth.cube[:, 2] - truth.cube[0, 2]) / 0.06, 0.0, 1.0)
    nearer = np.clip(1.0 - to_goal / max(to_goal[0], 1e-6), 0.0, 1.0)
    held = np.where(
        to_goal < PLACE_SUCCESS_DISTANCE,
        0.85 + 0.10 * (1.0 - lift),
        0.42 + 0.10 * lift + 0.33 * nearer,
    )
    progress = np.where(truth.gripped, held, _approach(truth, truth.cube, holding=True))
    there = truth.carried & ~truth.gripped & (to_goal < PLACE_SUCCESS_DISTANCE) & (lift < 0.1)
    progress = np.where(there, 0.96, progress)
    return np.where(done, 1.0, progress)


def _approach(truth: Truth, cube: NDArray[np.float64], *, holding: bool) -> NDArray[np.float64]:
    """Progress before the cube is held: the jaws come near, then close."""
    distance = np.linalg.norm(truth.grasp - cube - np.asarray([0.0, 0.0, GRASP_HEIGHT]), axis=1)
    near = 0.32 * (1.0 - np.minimum(distance / 0.25, 1.0))
    closing = 0.08 * np.clip(1.0 - truth.opening, 0.0, 1.0) * (distance < 0.02)
    return near + (closing if holding else 0.0)
