"""Runs hundreds of episodes back to back, with resets, changes and faults, and counts everything.

A reward node and a manager run as processes; cameras run many times as fast as life. Each episode
is one of the kinds in `KINDS`, drawn at random by a seed. Reported are: episodes lost (asked for,
never ended), doubled (two starts or two ends) or ended for another reason than the one that was
provoked; events, faults and recoveries too, that are missing or too many; memory of both processes
against the tenth episode of their life; and what the start of an episode costs.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "test" / room) for room in (".", "stands", "model_sources")]

import conftest  # noqa: E402, F401 - isolates the ROS graph
from manager_processes import LOADING, Lab, processes  # noqa: E402
from manager_stack import ALWAYS, NEVER, TASK  # noqa: E402
from reward_stack import write_checkpoint  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from benchmarks.results import Results  # noqa: E402
from benchmarks.soak_account import (  # noqa: E402
    ALLOWED_GROWTH,
    ALLOWED_START_MS,
    COMPARABLE,
    Figures,
    Provoked,
    plot,
)

EPISODES = 300
QUICK = 40
"""Enough for a process's memory to be compared."""
OTHER_TASK = "open the drawer"
END_PATIENCE = 60.0
"""s for an episode's end, on a busy machine too."""
LOST_TOO_MANY = 3
"""After so many the soak ends: what is stuck would be waited for again and again."""
KILL_EVERY = 100
"""Episodes between two kills of the reward node: its memory needs a life to be compared in."""
ARM = "/arm_of_the_soak/stop"
STOPPING = ("success", "timeout", "camera_lost", "model_error")
"""Reasons with which the robot is stopped."""
REWARD = {"camera_timeout": 2.0, "success_threshold": NEVER}
MANAGER = {
    "camera_patience": 0.2,
    "node_timeout": 10.0,
    "stop_actions": ["arm"],
    "arm.type": "trigger",
    "arm.target": ARM,
    "arm.timeout": 30.0,
    "arm.when": list(STOPPING),
}


class Soak:
    """Provokes episodes and keeps account of them."""

    def __init__(self, lab: Lab, seed: int, patience: float = END_PATIENCE) -> None:
        """Starts with nothing done.

        Args:
            lab: the processes.
            seed: of the order of the kinds.
            patience: s for an episode's end.
        """
        self.lab = lab
        self.figures = Figures(memory_mib={name: [[]] for name in lab.processes})
        self.provoked: dict[str, Provoked] = {}
        self.apart: list[tuple[str, str]] = []
        self._random = random.Random(seed)
        self._patience = patience
        self._kind = ""
        self._begun = time.monotonic()

    def run(self, episodes: int) -> Figures:
        """Runs about so many episodes; some kinds are two."""
        others = [kind for kind in KINDS if kind != "killed"]
        rest, kills = list(others), 0
        while len(self.provoked) < episodes and len(self.figures.lost) < LOST_TOO_MANY:
            if len(self.provoked) >= kills * KILL_EVERY:
                kills += 1
                self.one("killed")
            else:
                self.one(rest.pop(0) if rest else self._random.choice(others))
        self._conclude()
        return self.figures

    def one(self, kind: str) -> None:
        """Runs an episode of a kind to its end; what never comes is counted as lost."""
        self._kind = kind
        try:
            self.lab.set(success_threshold=ALWAYS if kind == "success" else NEVER)
            KINDS[kind](self)
        except AssertionError as error:
            self.figures.lost.append(f"{kind}, after {len(self.provoked)} episodes: {error}")
            self.lab.film.silent.clear()
            with suppress(AssertionError):
                self.lab.stop_it()
        for name, process in self.lab.processes.items():
            self.figures.memory_mib[name][-1].append(resident_mib(process.pid))

    def begin(self, instruction: str = "") -> str:
        """Starts an episode by the service; returns its id."""
        before = time.monotonic()
        answer = self.lab.begin(instruction or self._random.choice([TASK, OTHER_TASK]))
        self.figures.start_ms.append((time.monotonic() - before) * 1e3)
        assert answer.success, answer.message
        return answer.episode_id

    def start(self) -> str:
        """Starts an episode by the service and waits for its first reading."""
        episode = self.begin()
        readings = self.lab.readings
        self.lab.wait(lambda: readings and readings[-1].episode_id == episode, self._patience)
        del readings[:-1]
        return episode

    def expect(self, episode: str, reason: str, fault: bool = False) -> None:
        """Waits for an episode's end, and notes all that must be told of it.

        Args:
            episode: its id.
            reason: for which it ends.
            fault: whether one is told before.
        """
        events = ["started", *(["fault"] if fault else []), "stopped"]
        if reason in STOPPING:
            events.append("stop_action")
        self.provoked[episode] = Provoked(self._kind, reason, tuple(events))
        self.lab.wait(lambda: self.lab.happened(events[-1], episode), self._patience)

    def goal(self, reason: str, **goal: Any) -> None:
        """Runs a goal that ends by itself."""
        self.expect_result(self.lab.goal(**goal), reason)

    def expect_result(self, handle: Any, reason: str) -> None:
        """Waits for a goal's end."""
        self.expect(self.lab.result(handle, self._patience)[1].episode_id, reason)

    def expect_apart(self, event: str, seconds: float) -> None:
        """Waits for what must be told of no episode."""
        self.apart.append((self._kind, event))
        self.lab.wait(
            lambda: len([e for e in self.lab.told if not e.episode_id]) >= len(self.apart), seconds
        )

    def new_life(self, name: str) -> None:
        """Notes that a process was started anew."""
        self.figures.memory_mib[name].append([])

    def _conclude(self) -> None:
        """Gives whatever is too much its time to come, and accounts for everything."""
        self.lab.linger(0.5)
        self.figures.wall_s = time.monotonic() - self._begun
        self.figures.account(self.provoked, self.apart, self.lab.told, len(self.lab.robot.calls))


def _success(soak: Soak) -> None:
    soak.goal("success")


def _timeout(soak: Soak) -> None:
    soak.goal("timeout", time_limit=2.0)


def _stopped(soak: Soak) -> None:
    episode = soak.start()
    soak.lab.stop_it(outcome="failure")
    soak.expect(episode, "stopped")


def _canceled(soak: Soak) -> None:
    lab = soak.lab
    before = len(lab.happened("started"))
    handle = lab.goal()
    # One that is canceled while it waits starts no episode.
    lab.wait(lambda: len(lab.happened("started")) > before, soak._patience)
    lab.cancel(handle)
    soak.expect_result(handle, "canceled")


def _preempted(soak: Soak) -> None:
    first = soak.lab.goal()
    soak.goal("timeout", time_limit=1.0)
    soak.expect_result(first, "preempted")


def _reset(soak: Soak) -> None:
    first, second = soak.start(), soak.start()
    soak.expect(first, "reset")
    soak.lab.stop_it()
    soak.expect(second, "stopped")


def _instruction_changed(soak: Soak) -> None:
    episode = soak.start()
    soak.lab.instructions.publish(String(data=f"{TASK} number {len(soak.provoked)}"))
    soak.expect(episode, "instruction_changed")


def _clock_jump(soak: Soak) -> None:
    episode = soak.start()
    soak.lab.film.offset -= 1000.0
    soak.expect(episode, "clock_jump")


def _camera_lost(soak: Soak) -> None:
    episode = soak.start()
    soak.lab.film.silent.update(soak.lab.topics)
    soak.expect(episode, "camera_lost", fault=True)
    soak.lab.film.silent.clear()


def _deactivated(soak: Soak) -> None:
    episode = soak.start()
    soak.lab.change("deactivate")
    soak.expect(episode, "deactivated")


def _killed(soak: Soak) -> None:
    episode = soak.start()
    soak.lab.end("reward_node", signal.SIGKILL)
    soak.lab.launch("reward_node")
    soak.new_life("reward_node")
    soak.expect(episode, "model_error", fault=True)
    soak.expect_apart("recovered", LOADING)


KINDS: dict[str, Callable[[Soak], None]] = {
    "killed": _killed,
    "success": _success,
    "timeout": _timeout,
    "stopped": _stopped,
    "canceled": _canceled,
    "preempted": _preempted,
    "reset": _reset,
    "instruction_changed": _instruction_changed,
    "clock_jump": _clock_jump,
    "camera_lost": _camera_lost,
    "deactivated": _deactivated,
}


def resident_mib(pid: int) -> float:
    """Returns a process's resident memory, from /proc."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def run(episodes: int, seed: int, model: Path, log: Path) -> Figures:
    """Starts the processes and runs a soak.

    Args:
        episodes: how many.
        seed: of the order of their kinds.
        model: checkpoint directory.
        log: directory that gets the processes' output.
    """
    with processes(model, log, reward=REWARD, manager=MANAGER, fresh=True) as lab:
        lab.robot.trigger(ARM)
        return Soak(lab, seed).run(episodes)


def measure(
    results: Results, *, quick: bool = False, episodes: int | None = None, seed: int = 0
) -> bool:
    """Runs a soak with a small random model; returns whether everything was as it should be."""
    with tempfile.TemporaryDirectory() as place:
        model = write_checkpoint(Path(place) / "random")
        figures = run(episodes or (QUICK if quick else EPISODES), seed, model, Path(place))
    report(results, figures)
    results.keep("soak.json", lambda path: path.write_text(json.dumps(asdict(figures), indent=1)))
    results.keep("soak.png", lambda path: plot(figures, path))
    for sentence in figures.wrong:
        print(sentence)
    for name in figures.memory_mib.keys() - figures.growth.keys():
        print(f"The memory of {name} was not compared: no life of it was {COMPARABLE} episodes.")
    return figures.passed


def report(results: Results, figures: Figures) -> None:
    """Adds a soak's figures to a run's results."""
    group = f"soak, {figures.episodes} episodes"
    results.add(group, "wall-clock time", figures.wall_s, "s")
    for name in ("lost", "doubled"):
        results.add(group, name, len(getattr(figures, name)), "episodes", "<= 0")
    results.add(group, "ended otherwise than provoked", len(figures.unexpected), "episodes", "<= 0")
    results.add(group, "not accounted for", len(figures.unaccounted), "stories", "<= 0")
    for quantile, goal in ((0.5, ""), (0.95, f"<= {ALLOWED_START_MS:g}"), (1.0, "")):
        name = "max" if quantile == 1.0 else f"p{quantile * 100:.0f}"
        results.add(group, f"start of an episode, {name}", figures.start(quantile), "ms", goal)
    for name, growth in figures.growth.items():
        goal = f"<= {100 * ALLOWED_GROWTH:g}"
        results.add(group, f"memory of {name}, at its end", figures.memory_mib[name][-1][-1], "MiB")
        results.add(group, f"memory of {name}, growth since its tenth", 100 * growth, "%", goal)
    for kind, counts in figures.events.items():
        for event, count in counts.items():
            results.add(f"soak, {kind or 'unasked'}", event, count, "events")
