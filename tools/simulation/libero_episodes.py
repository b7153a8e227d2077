"""Simulated Franka Panda pick-and-place episodes of LIBERO, acted by one who knows where all is.

The tasks of the suite `libero_object` ask to pick up one of several groceries and to place it in
the basket. The expert is disturbed as the kind of the episode says. An episode succeeds when the
environment's own predicate says so at its end, whatever was intended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import mujoco
import numpy as np
from libero.libero import benchmark, get_libero_path
from libero.libero.envs.env_wrapper import ControlEnv
from numpy.typing import NDArray

SUITE = "libero_object"
KINDS = {"success": 0.5, "open_gripper": 0.16, "drop": 0.17, "stop": 0.17}
"""How an episode is meant to go, and how often each is drawn."""
CONTROL_RATE = 20.0
"""Control steps a second."""
REACH = 0.06
"""Metres from its target at which the hand begins to slow down."""
ARRIVED = 0.01
"""Metres from its target at which the hand goes on to the next move."""
FINGER = 0.035
"""Metres that the fingers reach below the top of a thing."""
ABOVE = np.array([0.0, 0.0, 0.1])
"""Metres by which the hand first stays above a thing."""
CARRY_HEIGHT = 0.3
RELEASE_HEIGHT = 0.2
"""Metres above the floor of the hand over the basket."""
PATIENCE = 60
"""Control steps that a move may take."""
OPEN, CLOSED = -1.0, 1.0
"""The gripper's part of an action."""


class Move(NamedTuple):
    """A part of the expert's way.

    Attributes:
        name: for the disturbances.
        target: returns where the hand goes, metres, shape (3,); asked when the move begins.
        gripper: `OPEN` or `CLOSED`.
        hold: control steps that it lasts, wherever the hand is; 0: until the hand has arrived.
    """

    name: str
    target: Callable[[], NDArray[np.float64]]
    gripper: float
    hold: int = 0


@dataclass(frozen=True)
class Episode:
    """One acted episode.

    Attributes:
        seed: that makes it again.
        kind: how it was meant to go, one of `KINDS`.
        instruction: the task in words.
        succeeded: what the environment says at the end.
        qpos: all joint positions at each control step, shape (T, n).
    """

    seed: int
    kind: str
    instruction: str
    succeeded: bool
    qpos: NDArray[np.float64]

    @property
    def duration(self) -> float:
        """Seconds."""
        return (len(self.qpos) - 1) / CONTROL_RATE

    def qpos_at(self, time: float) -> NDArray[np.float64]:
        """Joint positions at the control step nearest to a time in seconds."""
        return self.qpos[min(round(time * CONTROL_RATE), len(self.qpos) - 1)]


class LiberoTask:
    """A task of the suite: its environment, without cameras, and its start states.

    Attributes:
        instruction: the task in words.
        env: the environment.
        states: all positions and speeds at possible starts, shape (count, n).
    """

    def __init__(self, number: int) -> None:
        """Makes the environment.

        Args:
            number: of the task in the suite.

        Raises:
            ValueError: the suite has no such task.
        """
        suite = benchmark.get_benchmark_dict()[SUITE]()
        if not 0 <= number < suite.n_tasks:
            raise ValueError(f"{SUITE} has no task {number}; expected 0 to {suite.n_tasks - 1}.")
        task = suite.get_task(number)
        file = Path(get_libero_path("bddl_files")) / task.problem_folder / task.bddl_file
        self.instruction: str = task.language
        self.env = ControlEnv(str(file), use_camera_obs=False, has_offscreen_renderer=False)
        self.env.reset()
        self.states: NDArray[np.float64] = np.asarray(suite.get_task_init_states(number))

    @property
    def model(self) -> mujoco.MjModel:
        """What is simulated."""
        return self.env.sim.model._model

    def top(self, thing: str) -> float:
        """Height of a thing's highest point in metres."""
        model, data = self.model, self.env.sim.data._data
        body = model.body(f"{thing}_main").id
        geoms = np.flatnonzero(model.geom_bodyid == body)
        up = data.geom_xmat[geoms].reshape(-1, 3, 3)[:, 2]
        middle, half = model.geom_aabb[geoms, :3], model.geom_aabb[geoms, 3:]
        return float((data.geom_xpos[geoms, 2] + (up * middle + abs(up) * half).sum(1)).max())


class _Actor:
    """Runs one episode and notes what happens."""

    def __init__(self, task: LiberoTask, state: int) -> None:
        self._env = task.env
        self._env.reset()
        self._seen = self._env.set_init_state(task.states[state])
        self.qpos = [self._env.sim.data.qpos.copy()]

    def position(self, name: str) -> NDArray[np.float64]:
        """Where something is, metres, shape (3,)."""
        return np.array(self._seen[f"{name}_pos"])

    @property
    def hand(self) -> NDArray[np.float64]:
        """Where the point between the fingers is, metres, shape (3,)."""
        return self.position("robot0_eef")

    def go(self, target: NDArray[np.float64], gripper: float) -> float:
        """One control step towards a target; returns how far it still is, metres."""
        towards = np.clip((target - self.hand) / REACH, -1.0, 1.0)
        self._seen = self._env.step(np.array([*towards, 0.0, 0.0, 0.0, gripper]))[0]
        self.qpos.append(self._env.sim.data.qpos.copy())
        return float(np.linalg.norm(target - self.hand))


def act_episode(task: LiberoTask, seed: int, kind: str | None = None) -> Episode:
    """Acts the episode of a seed.

    Args:
        task: what is to be done; its environment is reset.
        seed: decides everything else.
        kind: one of `KINDS`; drawn by the seed when None.

    Raises:
        ValueError: the kind is unknown.
    """
    rng = np.random.default_rng(seed)
    drawn = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    kind = drawn if kind is None else kind
    if kind not in KINDS:
        raise ValueError(f"Episode kind {kind!r} is unknown; there are {', '.join(KINDS)}.")
    actor = _Actor(task, int(rng.integers(len(task.states))))
    _act(actor, _way(task, actor), kind, rng)
    succeeded = bool(task.env.check_success())
    return Episode(seed, kind, task.instruction, succeeded, np.asarray(actor.qpos))


def _way(task: LiberoTask, actor: _Actor) -> list[Move]:
    """The expert's moves from the start to the end."""
    thing, basket = task.env.obj_of_interest

    def grip() -> NDArray[np.float64]:
        x, y, z = actor.position(thing)
        return np.array([x, y, max(z, task.top(thing) - FINGER)])

    def over_basket(height: float) -> NDArray[np.float64]:
        return np.array([*actor.position(basket)[:2], height])

    return [
        Move("approach", lambda: grip() + ABOVE, OPEN),
        Move("reach", grip, OPEN),
        Move("close", lambda: actor.hand, CLOSED, hold=10),
        Move("lift", lambda: np.array([*actor.hand[:2], CARRY_HEIGHT]), CLOSED),
        Move("carry", lambda: over_basket(CARRY_HEIGHT), CLOSED),
        Move("lower", lambda: over_basket(RELEASE_HEIGHT), CLOSED),
        Move("release", lambda: actor.hand, OPEN, hold=10),
        Move("leave", lambda: over_basket(CARRY_HEIGHT), OPEN),
    ]


def _act(actor: _Actor, way: list[Move], kind: str, rng: np.random.Generator) -> None:
    """The way, disturbed as the kind says, and a rest at its end."""
    drop_at = rng.uniform(0.1, 0.5)
    stop_at = int(rng.integers(25, 75)) if kind == "stop" else np.inf
    rest = int(rng.integers(30, 50))
    empty, gripper = kind == "open_gripper", OPEN
    for move in way:
        target = move.target()
        distance = whole = float(np.linalg.norm(target - actor.hand))
        for _ in range(move.hold or PATIENCE):
            if len(actor.qpos) > stop_at or (not move.hold and distance < ARRIVED):
                break
            empty |= kind == "drop" and move.name == "carry" and distance < (1 - drop_at) * whole
            gripper = OPEN if empty else move.gripper
            distance = actor.go(target, gripper)
        if len(actor.qpos) > stop_at:
            rest += 80 - int(stop_at)
            break
    here = actor.hand
    for _ in range(rest):
        actor.go(here, gripper)
