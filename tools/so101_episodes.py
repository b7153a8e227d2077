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
from lerobot_env_so101.gripper import ctrl_to_normalized
from lerobot_env_so101.pick_place_env import PLACE_SUCCESS_DISTANCE
from lerobot_env_so101.policy import DEFAULT_ACTION_SCALE
from lerobot_env_so101.scripted.pick_place import GRASP_HEIGHT, Phase, PickPlaceController
from numpy.typing import NDArray

from tools.so101_scene import SceneLook, random_look

KINDS = {
    "success": 0.46,
    "open_gripper": 0.12,
    "drop": 0.14,
    "stop": 0.13,
    "wrong_disc": 0.09,
    "static": 0.06,
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


class _Actor:
    """Runs one episode and notes what happens."""

    def __init__(self, env: SO101PickPlaceGymEnv, other_disc_xy: NDArray[np.float64]) -> None:
        self.env = env
        self._other = other_disc_xy
        self._carried = False
        self._block_geom = env.model.geom("block").id
        self._jaws = [env.model.body(n).id for n in ("gripper", "moving_jaw_so101_v1")]
        self._rows: list[tuple] = []
        self._qpos: list[NDArray[np.float64]] = []
        self._table_z = float(self.cube[2])

    @property
    def cube(self) -> NDArray[np.float64]:
        return self.env.data.sensor("block_pos").data.copy()

    @property
    def steps(self) -> int:
        return len(self._rows)

    def note(self) -> None:
        """Writes down the present state."""
        env = self.env
        cube = self.cube
        self._carried |= bool(cube[2] - self._table_z > 0.03)
        lo_hi = env.model.actuator("gripper").ctrlrange
        opening = float(ctrl_to_normalized(env.data.joint("gripper").qpos[0], lo_hi))
        speed = float(np.linalg.norm(env.data.joint("block").qvel[:3]))
        released = self._carried and opening > 0.5 and speed < 0.01
        on_other = float(np.linalg.norm(cube[:2] - self._other)) < PLACE_SUCCESS_DISTANCE
        success = bool(env._is_success()) if self.steps else False
        self._rows.append(
            (
                cube,
                env.ik_point_pos,
                opening,
                self._gripped(),
                self._carried,
                success,
                bool(released and on_other),
            )
        )
        self._qpos.append(env.data.qpos.copy())

    def _gripped(self) -> bool:
        touched = set()
        for contact in self.env.data.contact:
            pair = (contact.geom1, contact.geom2)
            if self._block_geom in pair:
                other = pair[0] if pair[1] == self._block_geom else pair[1]
                touched.add(int(self.env.model.geom_bodyid[other]))
        return all(jaw in touched for jaw in self._jaws)

    def wait(self, steps: int) -> None:
        """Nothing moves."""
        for _ in range(steps):
            self.note()

    def act(self, action: NDArray[np.float64]) -> None:
        """One control step."""
        self.env.step(np.asarray(action, np.float32))
        self.note()

    def result(self) -> tuple[NDArray[np.float64], Truth]:
        columns = [np.asarray(column) for column in zip(*self._rows, strict=True)]
        return np.asarray(self._qpos), Truth(*columns)


def make_env() -> SO101PickPlaceGymEnv:
    """The environment, with a random cube and goal."""
    return SO101PickPlaceGymEnv(random_block_position=True, action_scale=DEFAULT_ACTION_SCALE)


def draw_kind(rng: np.random.Generator) -> str:
    """One of `KINDS` by its share."""
    return str(rng.choice(list(KINDS), p=list(KINDS.values())))


def act_episode(env: SO101PickPlaceGymEnv, seed: int, kind: str | None = None) -> Episode:
    """Acts the episode of a seed.

    Args:
        env: from `make_env`; it is reset.
        seed: decides everything.
        kind: one of `KINDS`; drawn by the seed when None.

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
    goal = env.goal_pos
    look = random_look(rng, env.data.sensor("block_pos").data[:2].copy(), goal[:2])
    actor = _Actor(env, np.asarray(look.other_disc_xy))
    pace = float(rng.uniform(0.085, 0.13))
    actor.wait(1 + int(rng.integers(0, 7)))
    if kind == "static":
        _stay(actor, rng, goal)
    else:
        target = np.asarray([*look.other_disc_xy, goal[2]]) if kind == "wrong_disc" else goal
        _move(actor, rng, kind, target)
    qpos, truth = actor.result()
    return Episode(seed, kind, pace, look, qpos, truth)


def _stay(actor: _Actor, rng: np.random.Generator, goal: NDArray[np.float64]) -> None:
    """Nothing moves; the arm stands at its start or somewhere near the cube."""
    steps = int(rng.integers(90, 140))
    if rng.random() < 0.4:
        hidden = _Actor(actor.env, goal[:2])
        controller = PickPlaceController()
        for _ in range(int(rng.integers(3, 16))):
            hidden.act(controller.act(actor.env.ik_point_pos, actor.cube, goal))
        actor._rows.clear()
        actor._qpos.clear()
    actor.wait(steps)


def _move(actor: _Actor, rng: np.random.Generator, kind: str, goal: NDArray[np.float64]) -> None:
    """The scripted controller, disturbed as the kind says, and what comes after it."""
    env, controller = actor.env, PickPlaceController()
    home = env.ik_point_pos
    drop_in, drop_after = (Phase.LIFT, 3) if rng.random() < 0.3 else (Phase.TRAVERSE, 0)
    drop_after += int(rng.integers(0, 3))
    stop_after = int(rng.integers(6, 42))
    tail = int(rng.integers(8, 21)) + (int(rng.integers(20, 50)) if rng.random() < 0.1 else 0)
    goes_home = rng.random() < 0.35
    dropped, carrying, moved, lowered = False, 0, 0, 0
    while not controller.done and not (kind == "stop" and moved >= stop_after):
        empty = kind == "open_gripper" or dropped
        carries = controller.phase in (Phase.LIFT, Phase.TRAVERSE, Phase.LOWER)
        # an empty hand goes on as if the cube were in it
        imagined = env.ik_point_pos - np.asarray([0.0, 0.0, GRASP_HEIGHT])
        cube = imagined if empty and carries else actor.cube
        action = controller.act(env.ik_point_pos, cube, goal)
        if controller.done or (kind == "stop" and controller.phase is Phase.OPEN):
            break
        carrying += controller.phase is drop_in
        lowered += empty and controller.phase is Phase.LOWER
        if lowered > 12:  # something is in the way
            break
        dropped |= kind == "drop" and carrying > drop_after
        if kind == "open_gripper" or dropped:
            action[3] = 1.0
        actor.act(action)
        moved += 1
    if kind == "stop":
        tail += max(0, 52 - moved)
    _end(actor, tail, None if kind == "stop" or not goes_home else home)


def _end(actor: _Actor, steps: int, home: NDArray[np.float64] | None) -> None:
    """The arm holds still, or goes back to where it began and then holds still."""
    env = actor.env
    closed = env.data.ctrl[env.model.actuator("gripper").id]
    command = float(ctrl_to_normalized(closed, env.model.actuator("gripper").ctrlrange))
    for _ in range(steps):
        delta = np.zeros(3)
        if home is not None:
            error = home - env.ik_point_pos
            if np.linalg.norm(error) > 0.02:
                delta = np.clip(error / DEFAULT_ACTION_SCALE, -0.8, 0.8)
        actor.act(np.asarray([*delta, command]))


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
