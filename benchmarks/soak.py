"""Runs hundreds of episodes back to back, with resets, changes and faults, and counts everything.

    python benchmarks/soak.py [--episodes 300] [--model DIRECTORY] [--output benchmarks/results]

A reward node and a manager run as processes; cameras run many times as fast as life. Each episode
is one of the kinds in `KINDS`, drawn at random by a seed. Reported are: episodes lost (asked for,
never ended), doubled (two starts or two ends) or ended for another reason than the one that was
provoked; events that belong to nothing; memory of both processes against their tenth episode; and
what the start of an episode costs.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test"))

import conftest  # noqa: E402, F401 - isolates the ROS graph
from manager_processes import Lab, processes  # noqa: E402
from manager_stack import ALWAYS, NEVER, TASK  # noqa: E402
from reward_stack import write_checkpoint  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from topreward_msgs.msg import EpisodeEvent  # noqa: E402

OTHER_TASK = "open the drawer"
SETTLED = 10
"""Episodes after which memory may not grow."""
ALLOWED_GROWTH = 0.02
REWARD = {"camera_timeout": 2.0, "success_threshold": NEVER}
MANAGER = {"camera_patience": 0.2, "node_timeout": 30.0}


@dataclass
class Figures:
    """What a soak has shown.

    Attributes:
        episodes: that ended.
        wall_s: s.
        lost: ids, or the number's name, of episodes without an end.
        doubled: ids with more than one start or end.
        unexpected: what ended otherwise than provoked.
        unaccounted: events that belong to no episode of the soak, or come in a wrong order.
        reasons: how many episodes ended for each reason.
        start_ms: of each start by service, from request to answer.
        memory_mib: by process, resident memory after each episode.
        growth: by process, of the last ten's median over that of the ten after the tenth.
    """

    episodes: int = 0
    wall_s: float = 0.0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    start_ms: list[float] = field(default_factory=list)
    memory_mib: dict[str, list[float]] = field(default_factory=dict)
    growth: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether everything is as it should be."""
        wrong = [*self.lost, *self.doubled, *self.unexpected, *self.unaccounted]
        return not wrong and all(growth <= ALLOWED_GROWTH for growth in self.growth.values())


class Soak:
    """Provokes episodes and keeps account of them."""

    def __init__(self, lab: Lab, seed: int) -> None:
        """Starts with nothing done."""
        self.lab = lab
        self.figures = Figures(memory_mib={name: [] for name in lab.processes})
        self.expected: dict[str, str] = {}
        self._random = random.Random(seed)
        self._begun = time.monotonic()

    def run(self, episodes: int) -> Figures:
        """Runs about so many episodes; some kinds are two."""
        kinds = list(KINDS)
        while len(self.expected) < episodes:
            kind = kinds[len(self.expected)] if len(self.expected) < len(kinds) else None
            self.one(kind or self._random.choice(kinds))
        self.lab.wait(lambda: len(self.lab.happened("stopped")) >= len(self.expected))
        self.lab.linger(0.5)
        self._account()
        return self.figures

    def one(self, kind: str) -> None:
        """Runs an episode of a kind to its end."""
        self.lab.set(success_threshold=ALWAYS if kind == "success" else NEVER)
        KINDS[kind](self)
        for name, process in self.lab.processes.items():
            self.figures.memory_mib[name].append(resident_mib(process.pid))

    def start(self) -> str:
        """Starts an episode by the service and waits for its first reading."""
        before = time.monotonic()
        answer = self.lab.begin(instruction=self._random.choice([TASK, OTHER_TASK]))
        self.figures.start_ms.append((time.monotonic() - before) * 1e3)
        assert answer.success, answer.message
        self.lab.wait(
            lambda: self.lab.readings and self.lab.readings[-1].episode_id == answer.episode_id
        )
        return answer.episode_id

    def expect(self, episode_id: str, reason: str) -> None:
        """Waits for an episode's end."""
        self.expected[episode_id] = reason
        self.lab.wait(lambda: self.lab.happened(EpisodeEvent.STOPPED, episode_id))

    def goal(self, reason: str, **goal: Any) -> None:
        """Runs a goal that ends by itself."""
        result = self.lab.run_one(**goal)[1]
        self.expect(result.episode_id, reason)

    def _account(self) -> None:
        figures, lab = self.figures, self.lab
        figures.wall_s = time.monotonic() - self._begun
        figures.episodes = len(lab.happened("stopped"))
        for episode, story in lab.stories().items():
            plain = [e for e in story if e not in ("fault", "recovered")]
            if plain.count("started") > 1 or plain.count("stopped") > 1:
                figures.doubled.append(episode)
            if episode not in self.expected or [plain[0], plain[-1]] != ["started", "stopped"]:
                figures.unaccounted.append(f"{episode}: {story}")
        ends = {event.episode_id: event.termination_reason for event in lab.happened("stopped")}
        for episode, reason in self.expected.items():
            if episode not in ends:
                figures.lost.append(episode)
            elif ends[episode] != reason:
                figures.unexpected.append(f"{episode}: {ends[episode]}, not {reason}")
        figures.reasons = dict(Counter(ends.values()))
        for name, memory in figures.memory_mib.items():
            settled = memory[SETTLED:]
            if len(settled) >= SETTLED:
                first, last = settled[:SETTLED], settled[-SETTLED:]
                figures.growth[name] = statistics.median(last) / statistics.median(first) - 1.0


def _success(soak: Soak) -> None:
    soak.goal("success")


def _timeout(soak: Soak) -> None:
    soak.goal("timeout", time_limit=2.0)


def _stopped(soak: Soak) -> None:
    episode = soak.start()
    soak.lab.stop_it(outcome="failure")
    soak.expect(episode, "stopped")


def _canceled(soak: Soak) -> None:
    handle = soak.lab.goal()
    soak.lab.cancel(handle)
    soak.expect(soak.lab.result(handle)[1].episode_id, "canceled")


def _preempted(soak: Soak) -> None:
    first = soak.lab.goal()
    soak.goal("timeout", time_limit=1.0)
    soak.expect(soak.lab.result(first)[1].episode_id, "preempted")


def _reset(soak: Soak) -> None:
    first, second = soak.start(), soak.start()
    soak.expect(first, "reset")
    soak.lab.stop_it()
    soak.expect(second, "stopped")


def _instruction_changed(soak: Soak) -> None:
    episode = soak.start()
    soak.lab.instructions.publish(String(data=f"{TASK} number {len(soak.expected)}"))
    soak.expect(episode, "instruction_changed")


def _clock_jump(soak: Soak) -> None:
    episode = soak.start()
    soak.lab.film.offset -= 1000.0
    soak.expect(episode, "clock_jump")


def _camera_lost(soak: Soak) -> None:
    episode = soak.start()
    topics = {publisher.topic_name for publisher in soak.lab.film.publishers}
    soak.lab.film.silent |= topics
    soak.expect(episode, "camera_lost")
    soak.lab.film.silent -= topics


def _deactivated(soak: Soak) -> None:
    episode = soak.start()
    soak.lab.change("deactivate")
    soak.expect(episode, "deactivated")


KINDS: dict[str, Callable[[Soak], None]] = {
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
    with processes(model, log, reward=REWARD, manager=MANAGER) as lab:
        return Soak(lab, seed).run(episodes)


def summary(figures: Figures) -> str:
    """Returns the figures as a few lines."""
    start = sorted(figures.start_ms) or [float("nan")]
    lines = [
        f"{figures.episodes} episodes in {figures.wall_s:.0f} s: "
        + ", ".join(f"{count} {reason}" for reason, count in sorted(figures.reasons.items())),
        f"lost {len(figures.lost)}, doubled {len(figures.doubled)}, ended otherwise than provoked "
        f"{len(figures.unexpected)}, unaccounted events {len(figures.unaccounted)}",
        f"start of an episode: p50 {statistics.median(start):.1f} ms, "
        f"p95 {start[int(0.95 * (len(start) - 1))]:.1f} ms, max {start[-1]:.1f} ms",
        *(
            f"memory of {name}: {figures.memory_mib[name][-1]:.1f} MiB, {growth:+.2%} since "
            f"episode {SETTLED}"
            for name, growth in figures.growth.items()
        ),
        *figures.lost, *figures.doubled, *figures.unexpected, *figures.unaccounted,
        "PASSED" if figures.passed else "FAILED",
    ]  # fmt: skip
    return "\n".join(lines)


def plot(figures: Figures, path: Path) -> None:
    """Draws memory and starts over the episodes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    memory, starts = figure.subplots(2, 1)
    for name, values in figures.memory_mib.items():
        base = values[min(SETTLED, len(values) - 1)]
        memory.plot([100 * (value / base - 1) for value in values], label=name)
    memory.axhline(100 * ALLOWED_GROWTH, color="grey", linestyle=":")
    memory.set(ylabel=f"resident memory, % over episode {SETTLED}", xlabel="episode")
    memory.legend()
    starts.plot(figures.start_ms, ".")
    starts.axhline(50, color="grey", linestyle=":")
    starts.set(ylabel="start of an episode, ms", xlabel="start by service", yscale="log")
    figure.savefig(path, dpi=120)


def main() -> int:
    """Runs the soak; returns 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, help="checkpoint directory; default: a random one")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        model = options.model or write_checkpoint(Path(place) / "random")
        figures = run(options.episodes, options.seed, model, Path(place))
    print(summary(figures))
    (options.output / "soak.json").write_text(json.dumps(asdict(figures), indent=1))
    plot(figures, options.output / "soak.png")
    return 0 if figures.passed else 1


if __name__ == "__main__":
    sys.exit(main())
