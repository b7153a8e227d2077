"""(f) Several robots on one model: updates a second, the cost of a long video, bytes, exactness.

Each robot is a client of its own with an episode of its own, at once with the others; one process
takes them one after the other. Servers run on the machine that measures, and share its cores.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

from benchmarks.fleet_servers import Counted, Engine, engines
from benchmarks.models import TASK, random_video, write_wide_demo
from benchmarks.results import Results
from topreward_ros.models.contract import VideoScorer
from topreward_ros.models.loading import open_scorer

ROBOTS = (1, 2, 4, 8)
PAIRS = 32
"""Of each robot's episode."""
SHORT, LONG = 8, 64
"""Pairs at which the cost of an update is held against."""
AROUND = 6
"""Updates whose median is one cost."""
WIDE = ", as wide as Qwen3-VL-4B"
"""The other model that they are held against in."""


def measure(results: Results, *, quick: bool = False) -> bool:
    """Measures every engine that can be started here; False where one is not exact."""
    robots, pairs = (ROBOTS[:2], 4) if quick else (ROBOTS, PAIRS)
    lengths = (2, 4) if quick else (SHORT, LONG)
    local = open_scorer("demo", device="cpu", max_pairs=2 * LONG, sessions=max(robots))
    exact = True
    with _in_a_row(local) as engine:
        _fleet(results, engine, robots, pairs)
        _lengths(results, engine, lengths)
    for engine in engines():
        with engine.running(2 * LONG, max(robots)):
            exact &= _exactness(results, engine, local, pairs)
            _fleet(results, engine, robots, pairs)
            _lengths(results, engine, lengths)
    _wide(results, lengths)
    return exact


def _wide(results: Results, lengths: tuple[int, int]) -> None:
    """Measures the cost of a long video where a model's width weighs as in those of robots.

    What a new token costs goes with the width, and what it costs to look at a video's with their
    number: in the demo model, which is 160 wide, the second shows.
    """
    with tempfile.TemporaryDirectory() as directory:
        write_wide_demo(Path(directory))
        local = open_scorer(directory, device="cpu", dtype="float32", max_pairs=2 * LONG)
        with _in_a_row(local) as engine:
            _lengths(results, engine, lengths, WIDE)
        del local, engine
        for engine in engines(directory):
            if engine.flat:
                with engine.running(2 * LONG, 1):
                    _lengths(results, engine, lengths, WIDE)


@contextmanager
def _in_a_row(scorer: VideoScorer) -> Iterator[Engine]:
    """One process that takes all robots' updates one after the other."""
    turn = Turn()
    yield Engine("one process", 1.3, lambda: scorer, lambda *_: nullcontext(), turn)


class Turn:
    """A lock that is given in the order in which it is asked for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._asked = self._given = 0

    def __enter__(self) -> None:
        """Waits for the others who asked before."""
        with self._changed:
            mine, self._asked = self._asked, self._asked + 1
            self._changed.wait_for(lambda: self._given == mine)

    def __exit__(self, *_: object) -> None:
        """Lets the next one."""
        with self._changed:
            self._given += 1
            self._changed.notify_all()


class Robot:
    """An episode that goes on."""

    def __init__(self, scorer: VideoScorer, seed: int, frames: int) -> None:
        self._session = scorer.start()
        self._video, self._stamps = random_video(frames, scorer.frame_size, seed=seed)
        self._next = 0

    def update(self) -> float:
        """Shows the next frame; returns its score in nat."""
        self._session.append(self._video[self._next], self._stamps[self._next])
        self._next += 1
        score = self._session.log_prob(TASK)
        self._session.settle()
        return score


def _fleet(results: Results, engine: Engine, robots: tuple[int, ...], pairs: int) -> None:
    alone = 0.0
    for count in robots:
        times, took = _at_once(engine, count, 2 * pairs)
        rate = count * 2 * pairs / took
        alone = alone or rate
        name = f"{engine.name}, {count} robot{'s' if count > 1 else ''}"
        results.add("fleet", f"{name}: updates", rate, "1/s")
        middle, high = np.percentile(times, [50, 95])
        results.add("fleet", f"{name}: p50", middle * 1e3, "ms")
        results.add("fleet", f"{name}: p95", high * 1e3, "ms")
        if count > 1:
            goal = ">= 1.5" if count == 4 and engine.name == "vLLM" else ""
            results.add("fleet", f"{name}: updates to those of one", rate / alone, "x", goal)


def _at_once(engine: Engine, count: int, frames: int) -> tuple[list[float], float]:
    robots = [Robot(engine.open(), seed, frames) for seed in range(count)]
    times: list[float] = []
    begin = threading.Barrier(count + 1)

    def run(robot: Robot) -> None:
        begin.wait()
        for _ in range(frames):
            before = time.perf_counter()
            with engine.turn:
                robot.update()
            times.append(time.perf_counter() - before)

    threads = [threading.Thread(target=run, args=(robot,)) for robot in robots]
    for thread in threads:
        thread.start()
    begin.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return times, time.perf_counter() - began


def _lengths(results: Results, engine: Engine, lengths: tuple[int, int], model: str = "") -> None:
    short, long = lengths
    name = engine.name + model
    robot, costs, sizes = Robot(engine.open(), 0, 2 * long), [], []
    with Counted() as counted:
        for _ in range(2 * long):
            before, sent = time.perf_counter(), counted.sent
            robot.update()
            costs.append(time.perf_counter() - before)
            sizes.append(counted.sent - sent)
    early, late = (float(np.median(costs[2 * pair - AROUND : 2 * pair])) for pair in lengths)
    results.add("fleet", f"{name}: update at {short} pairs", early * 1e3, "ms")
    results.add("fleet", f"{name}: update at {long} pairs", late * 1e3, "ms")
    goal = f"<= {engine.flat}" if engine.flat and model else ""
    results.add("fleet", f"{name}: {long} pairs to {short} pairs", late / early, "x", goal)
    if any(sizes):
        for pair in lengths:
            results.add("fleet", f"{name}: sent at {pair} pairs", sizes[2 * pair - 1], "B")


def _exactness(results: Results, engine: Engine, local: VideoScorer, pairs: int) -> bool:
    here, there = Robot(local, 0, 2 * pairs), Robot(engine.open(), 0, 2 * pairs)
    apart = max(abs(here.update() - there.update()) for _ in range(2 * pairs))
    results.add("fleet", f"{engine.name}: largest difference", apart, "nat", "<= 1e-5")
    return apart <= 1e-5
