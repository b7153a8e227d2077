"""Times that can be compared: alternatives take turns in one run, and medians are quoted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def timed(action: Callable[..., T], *args: object) -> tuple[float, T]:
    """Returns how many seconds one call takes by a steady clock, and what it returns."""
    before = time.perf_counter()
    value = action(*args)
    return time.perf_counter() - before, value


def in_turns(actions: Mapping[str, Callable[[], object]], rounds: int = 3) -> dict[str, float]:
    """Returns the median seconds of each action, after one round of warming up."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(rounds + 1):
        for name, action in actions.items():
            duration, _ = timed(action)
            if turn:
                taken[name].append(duration)
    return {name: statistics.median(values) for name, values in taken.items()}
