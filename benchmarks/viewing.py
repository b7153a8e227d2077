"""What watching costs the reward: how late readings are with `rerun_node` beside it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

# After benchmarks.live, which keeps this graph to itself.
import numpy as np

from benchmarks.live import RATE, _Cameras, _graph, _Listener, _listener, _node
from benchmarks.results import Results
from topreward_ros.nodes.running.node_commands import node_command

GROUP = "(r) 2 x 640x480 compressed at 30 Hz, rerun_node beside it"
PORTS = {"port": 19876, "web_port": 19090}
START = 30.0
"""s for rerun_node to be there."""


def measure(results: Results, *, quick: bool = False) -> None:
    """Measures in turns, without and with it, so that what else runs hits both alike."""
    rounds, seconds = (1, 3.0) if quick else (4, 10.0)
    topics = ["/camera_0/image", "/camera_1/image"]
    late: dict[bool, list[float]] = {False: [], True: []}
    with _graph() as model, _listener() as listener, _node(model, topics, "compressed"):
        cameras = _Cameras(listener, topics, "compressed")
        cameras.play(RATE, until=lambda: len(listener.readings) >= 4, limit=60.0)
        for _ in range(rounds):
            late[False] += _latencies(cameras, listener, seconds)
            with _watched(cameras, listener, topics):
                late[True] += _latencies(cameras, listener, seconds)
    for share in (50, 95):
        alone, watched = (np.percentile(late[on], share) for on in (False, True))
        results.add(GROUP, f"frame to reading alone, p{share}", 1e3 * alone, "ms")
        results.add(GROUP, f"frame to reading watched, p{share}", 1e3 * watched, "ms")
        goal = "<= 1.2" if share == 50 else ""
        results.add(GROUP, f"watched / alone, p{share}", watched / alone, "x", goal)


def _latencies(cameras: _Cameras, listener: _Listener, seconds: float) -> list[float]:
    listener.readings.clear()
    cameras.play(RATE, until=lambda: False, limit=seconds)
    return [reading.latency for reading in listener.readings]


@contextmanager
def _watched(cameras: _Cameras, listener: _Listener, topics: list[str]) -> Iterator[None]:
    parameters = {"cameras": topics, "transport": "compressed", "show": "web", **PORTS}
    command = node_command("rerun_node", parameters, namespace="topreward")
    process = subprocess.Popen(command, env=os.environ.copy())
    try:

        def there() -> bool:
            return listener.count_subscribers("/topreward/reward_node/reading") >= 2

        cameras.play(RATE, until=there, limit=START)
        cameras.play(RATE, until=lambda: False, limit=2.0)  # its viewer starts
        if process.poll() is not None or not there():
            raise RuntimeError("rerun_node did not start; its log says why.")
        yield
    finally:
        process.terminate()
        process.wait(30)
        time.sleep(0.5)
