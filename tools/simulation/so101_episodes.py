"""Simulated SO-101 pick-and-place episodes: how they are acted and what is true in them.

The arm is driven by the scripted controller of `lerobot-env-so101`. An episode succeeds when the
environment's own predicate says so at its end, whatever was intended. Each control step lasts
0.1 s in the simulation and `pace` seconds in the recording: the arm plays a little slower or
faster from episode to episode.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lerobot_env_so101 import SO101PickPlaceGymEnv
from lerobot_env_so101.policy import DEFAULT_ACTION_SCALE
from numpy.typing import NDArray

from tools.simulation.scene_look import SceneLook, random_look
from tools.simulation.so101_motions import Actor, Places, perform
from tools.simulation.worlds import TRAINING, World

KINDS = {
    "success": 0.32,
    "second_try": 0.08,
    "open_gripper": 0.07,
    "drop": 0.08,
    "stop": 0.08,
    "wrong_disc": 0.07,
    "static": 0.05,
    "held": 0.09,
    "near_miss": 0.09,
    "taken_away": 0.07,
}
"""How an episode is meant to go, and how often each is drawn."""

RESERVED_SEEDS = range(770000, 780000)
"""Never used by these tools."""


@dataclass(frozen=True)
class Truth:
    """What the simulation knows at each control step; arrays of length T.

    Attributes:
        cube: position of the cube's centre, metres, shape (T, 3).
        grasp: the point between the jaws, metres, shape (T, 3).
        opening: of the jaws, 0 closed to 1 open.
        gripped: the cube touches both jaws.
        carried: the cube has been lifted at some time before.
        success: the environment's predicate for the goal.
        success_other: the same predicate with the other disc as the goal.
    """

    cube: NDArray[np.float64]
    grasp: NDArray[np.float64]
    opening: NDArray[np.float64]
    gripped: NDArray[np.bool_]
    carried: NDArray[np.bool_]
    success: NDArray[np.bool_]
    success_other: NDArray[np.bool_]


@dataclass(frozen=True)
class Episode:
    """One acted episode.

    Attributes:
        seed: that makes it again.
        kind: how it was meant to go, one of `KINDS`.
        pace: recorded seconds a control step.
        look: what it looks like.
        qpos: joint positions of arm and cube at each control step, shape (T, n).
        truth: what is true at each control step.
    """

    seed: int
    kind: str
    pace: float
    look: SceneLook
    qpos: NDArray[np.float64]
    truth: Truth

    @property
    def duration(self) -> float:
        """Recorded seconds."""
        return (len(self.qpos) - 1) * self.pace

    @property
    def instruction(self) -> str:
        """The task in words."""
        return self.look.instruction

    @property
    def succeeded(self) -> bool:
        """What the environment says at the end."""
        return bool(self.truth.success[-1])

    def qpos_at(self, time: float) -> NDArray[np.float64]:
        """Joint positions at a recorded time, seconds, between two control steps if need be."""
        place = min(max(time / self.pace, 0.0), len(self.qpos) - 1.0)
        step = min(int(place), len(self.qpos) - 2)
        part = place - step
        return (1.0 - part) * self.qpos[step] + part * self.qpos[step + 1]

    def step_at(self, time: float) -> int:
        """The control step that was last finished at a recorded time in seconds."""
        return int(min(max(time / self.pace + 1e-6, 0.0), len(self.qpos) - 1))


def make_env() -> SO101PickPlaceGymEnv:
    """The environment, with a random cube and goal."""
    return SO101PickPlaceGymEnv(random_block_position=True, action_scale=DEFAULT_ACTION_SCALE)


def draw_kind(rng: np.random.Generator) -> str:
    """One of `KINDS` by its share."""
    return str(rng.choice(list(KINDS), p=list(KINDS.values())))


def act_episode(
    env: SO101PickPlaceGymEnv, seed: int, kind: str | None = None, world: World = TRAINING
) -> Episode:
    """Acts the episode of a seed.

    Args:
        env: from `make_env`; it is reset.
        seed: decides everything else; places, colours and motions are the same in every world.
        kind: one of `KINDS`; drawn by the seed when None.
        world: what its look is drawn from.

    Raises:
        ValueError: the seed is reserved or the kind is unknown.
    """
    if seed in RESERVED_SEEDS:
        raise ValueError(f"Seed {seed} is reserved ({RESERVED_SEEDS}); take another one.")
    rng = np.random.default_rng(seed)
    drawn = draw_kind(rng)
    kind = drawn if kind is None else kind
    if kind not in KINDS:
        raise ValueError(f"Episode kind {kind!r} is unknown; there are {', '.join(KINDS)}.")
    env.reset(seed=seed)
    goal, cube_xy = env.goal_pos, env.data.sensor("block_pos").data[:2].copy()
    look = random_look(np.random.default_rng([seed, 4]), cube_xy, goal[:2], world)
    actor = Actor(env, np.asarray(look.other_disc_xy))
    pace = float(rng.uniform(0.085, 0.13))
    actor.wait(1 + int(rng.integers(0, 7)))
    perform(actor, rng, kind, Places(goal, look.other_disc_xy, look.other_cube_xy))
    qpos, rows = actor.result()
    return Episode(seed, kind, pace, look, qpos, Truth(*rows))
