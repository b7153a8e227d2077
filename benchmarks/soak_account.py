"""What a soak has shown: every episode and every event against what was provoked."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

SETTLED = 10
"""Episodes of a process's life after which its memory may not grow."""
COMPARABLE = 3 * SETTLED
"""Episodes of a life in which growth can be seen."""
ALLOWED_GROWTH = 0.02
ALLOWED_START_MS = 50.0
"""For the 95th percentile."""


class Told(Protocol):
    """What is read of a `topreward_msgs/EpisodeEvent`."""

    event: str
    episode_id: str
    termination_reason: str


@dataclass(frozen=True)
class Provoked:
    """An episode as it was provoked.

    Attributes:
        kind: of the soak's kinds.
        reason: for which it must end.
        events: all that must be told of it, in order.
    """

    kind: str
    reason: str
    events: tuple[str, ...]


@dataclass
class Figures:
    """What a soak has shown.

    Attributes:
        episodes: that ended.
        wall_s: s.
        lost: ids of episodes without an end, and what was asked for in vain.
        doubled: ids with more than one start or end.
        unexpected: what ended otherwise than provoked.
        unaccounted: events and stop calls that are missing, too many or out of order.
        reasons: how many episodes ended for each reason.
        events: by kind, how often each event was told.
        start_ms: of each start by service, from request to answer.
        memory_mib: by process, for each of its lives, resident memory after each episode.
    """

    episodes: int = 0
    wall_s: float = 0.0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    events: dict[str, dict[str, int]] = field(default_factory=dict)
    start_ms: list[float] = field(default_factory=list)
    memory_mib: dict[str, list[list[float]]] = field(default_factory=dict)

    @property
    def growth(self) -> dict[str, float]:
        """By process, the greatest growth in one life; only where a life was long enough."""
        grown = {
            name: [_grown(life) for life in lives if len(life) >= COMPARABLE]
            for name, lives in self.memory_mib.items()
        }
        return {name: max(values) for name, values in grown.items() if values}

    @property
    def wrong(self) -> list[str]:
        """Everything that should not have been, as sentences."""
        return [
            f"{name}: {one}"
            for name in ("lost", "doubled", "unexpected", "unaccounted")
            for one in getattr(self, name)
        ]

    @property
    def sound(self) -> bool:
        """Whether nothing was wrong, and no process's memory grew, which was measured of each."""
        growth = self.growth
        measured = bool(growth) and growth.keys() == self.memory_mib.keys()
        return not self.wrong and measured and max(growth.values()) <= ALLOWED_GROWTH

    @property
    def passed(self) -> bool:
        """Whether it is sound and episodes start soon."""
        return self.sound and self.start(0.95) <= ALLOWED_START_MS

    def start(self, quantile: float) -> float:
        """Returns ms; NaN where nothing was started."""
        starts = sorted(self.start_ms)
        return starts[round(quantile * (len(starts) - 1))] if starts else math.nan

    def account(
        self,
        provoked: Mapping[str, Provoked],
        apart: Sequence[tuple[str, str]],
        told: Sequence[Told],
        stop_calls: int,
    ) -> None:
        """Compares what was told with what was provoked.

        Args:
            provoked: by episode id.
            apart: kind and event of all that must be told of no episode, in order.
            told: all events, in order.
            stop_calls: how often the robot was asked to stop.
        """
        ends = {e.episode_id: e.termination_reason for e in told if e.event == "stopped"}
        self.episodes = len(ends)
        self.reasons = dict(Counter(ends.values()))
        for episode, its in provoked.items():
            if episode not in ends:
                self.lost.append(f"{episode} ({its.kind})")
            elif ends[episode] != its.reason:
                self.unexpected.append(f"{episode}: {ends[episode]}, not {its.reason}")
        self._account_stories(provoked, apart, told)
        due = sum(its.events.count("stop_action") for its in provoked.values())
        if stop_calls != due:
            self.unaccounted.append(f"the robot was asked to stop {stop_calls} times, not {due}")

    def _account_stories(
        self,
        provoked: Mapping[str, Provoked],
        apart: Sequence[tuple[str, str]],
        told: Sequence[Told],
    ) -> None:
        stories: dict[str, list[str]] = {}
        for event in told:
            stories.setdefault(event.episode_id, []).append(event.event)
        general = stories.pop("", [])
        if general != [event for _, event in apart]:
            self.unaccounted.append(f"of no episode: {general}, not {apart}")
        for kind, event in apart:
            self._count(kind, [event] if event in general else [])
        for episode, story in stories.items():
            if story.count("started") > 1 or story.count("stopped") > 1:
                self.doubled.append(episode)
            its = provoked.get(episode)
            if its is None or tuple(story) != its.events:
                due = "nothing" if its is None else f"{its.kind}: {list(its.events)}"
                self.unaccounted.append(f"{episode}: {story}, not {due}")
            self._count("" if its is None else its.kind, story)

    def _count(self, kind: str, story: Sequence[str]) -> None:
        counts = self.events.setdefault(kind, {})
        for event in story:
            counts[event] = counts.get(event, 0) + 1


def _grown(life: Sequence[float]) -> float:
    """Returns the last ten's median over that of the ten after the tenth, less 1."""
    first, last = life[SETTLED : 2 * SETTLED], life[-SETTLED:]
    return statistics.median(last) / statistics.median(first) - 1.0


def plot(figures: Figures, path: Path) -> None:
    """Draws memory and starts over the episodes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    memory, starts = figure.subplots(2, 1)
    for number, (name, lives) in enumerate(figures.memory_mib.items()):
        first = 0
        for life in lives:
            base = life[min(SETTLED, len(life) - 1)] if life else 1.0
            curve = [100 * (value / base - 1) for value in life]
            label = name if life is lives[-1] else None
            memory.plot(range(first, first + len(life)), curve, color=f"C{number}", label=label)
            first += len(life)
    memory.axhline(100 * ALLOWED_GROWTH, color="grey", linestyle=":")
    memory.set(
        ylabel=f"resident memory, % over episode\n{SETTLED} of the process's life",
        xlabel="episode",
        ylim=(-5, 5),
    )
    memory.legend()
    starts.plot(figures.start_ms, ".")
    starts.axhline(ALLOWED_START_MS, color="grey", linestyle=":")
    starts.set(ylabel="start of an episode, ms", xlabel="start by service", yscale="log")
    figure.savefig(path, dpi=120)
