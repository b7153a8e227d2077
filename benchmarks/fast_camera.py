"""A camera far too fast and far too large beside a usual one: what it costs the reward."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import rclpy
from rclpy.node import Node

from benchmarks.live import RATE, _Cameras, _cpu_seconds, _graph, _Listener, _listener, _node
from benchmarks.results import Results
from topreward_ros.nodes.running.demo import PROFILES
from topreward_ros.nodes.running.node_commands import package_directory

SIZE = (1080, 1920)
FAST = 200.0
TOPICS = ["/fast/image", "/usual/image"]
SAMPLED = 2.0
"""Frames a second that are scored."""
_spawn = multiprocessing.get_context("spawn")


def measure(results: Results, *, quick: bool = False) -> None:
    """Measures in one run without and with the fast camera, for each transport."""
    seconds = 3.0 if quick else 20.0
    with _graph() as model:
        for transport in ("compressed", "raw"):
            _measure(results, model, transport, seconds)
        with _large_pictures():
            _measure(results, model, "raw", seconds, ", config/dds/large_pictures.xml")


@contextmanager
def _large_pictures() -> Iterator[None]:
    """Lets the processes that are started meanwhile use the profile of Fast DDS for them."""
    file = package_directory("config") / "dds" / "large_pictures.xml"
    os.environ.update(dict.fromkeys(PROFILES, str(file)))
    try:
        yield
    finally:
        for name in PROFILES:
            del os.environ[name]


def _measure(results: Results, model: str, transport: str, seconds: float, said: str = "") -> None:
    group = f"(s) 1920x1080 {transport} beside 640x480 at 30 Hz{said}"
    with _listener() as listener, _node(model, TOPICS, transport) as process:
        usual = _Cameras(listener, TOPICS[1:], transport)
        figures = {}
        for name, rate in (("at 30 Hz", RATE), ("at 200 Hz", FAST)):
            with _sending(transport, rate) as sent:
                usual.play(RATE, until=lambda: sent.value > 30, limit=60.0)  # it has started
                usual.play(RATE, until=lambda: len(listener.readings) >= 4, limit=60.0)
                figures[name] = _watch(usual, listener, process.pid, sent, seconds)
    for name, (hertz, arrived, share, readings, late) in figures.items():
        results.add(group, f"{name}: pictures sent", hertz, "Hz")
        results.add(group, f"{name}: of them at the node", 100 * arrived, "%")
        results.add(group, f"{name}: node, of one core", 100 * share, "%")
        results.add(group, f"{name}: readings of those due", 100 * readings, "%", ">= 95")
        results.add(group, f"{name}: frame to reading beyond the model, p95", late, "ms")


def _watch(
    usual: _Cameras, listener: _Listener, pid: int, sent: object, seconds: float
) -> tuple[float, float, float, float, float]:
    """Returns Hz sent, the share that arrived, cores, the share of readings, and ms at p95."""
    usual.play(RATE, until=lambda: False, limit=1.5)  # diagnostics are told once a second
    listener.readings.clear()
    first, arrived, spent, start = (
        sent.value, listener.received(TOPICS[0]), _cpu_seconds(pid), time.monotonic()
    )  # fmt: skip
    usual.play(RATE, until=lambda: False, limit=seconds)
    took = time.monotonic() - start
    share = (_cpu_seconds(pid) - spent) / took
    count = sent.value - first
    late = [1e3 * (one.latency - one.model_time) for one in listener.readings]
    told = (listener.received(TOPICS[0]) - arrived) / count
    frames = listener.readings[-1].frames - listener.readings[0].frames + 1
    return count / took, told, share, frames / (SAMPLED * took), float(np.percentile(late, 95))


@contextmanager
def _sending(transport: str, rate: float) -> Iterator[object]:
    """Lets the camera send in a process of its own; yields the number of pictures so far."""
    sent, over = _spawn.Value("L", 0), _spawn.Event()
    domain = os.environ["ROS_DOMAIN_ID"]
    process = _spawn.Process(target=_send, args=(domain, transport, rate, sent, over), daemon=True)
    process.start()
    try:
        yield sent
    finally:
        over.set()
        process.join(30)


def _send(domain: str, transport: str, rate: float, sent: object, over: object) -> None:
    os.environ["ROS_DOMAIN_ID"] = domain  # the import has drawn another
    rclpy.init()
    node = Node("fast_camera")
    camera = _Cameras(node, TOPICS[:1], transport, SIZE)

    def is_over() -> bool:
        sent.value += 1
        return over.is_set()

    camera.play(rate, until=is_over, limit=600.0)
    node.destroy_node()
    rclpy.shutdown()
