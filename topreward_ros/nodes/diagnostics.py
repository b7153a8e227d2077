"""What `reward_node` tells of itself on /diagnostics, once a second."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Mapping

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from topreward_ros.nodes.camera_health import CameraHealth
from topreward_ros.printable import printable

MEBIBYTE = 2**20
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class Rates:
    """Turns counts into rates between one report and the next."""

    def __init__(self) -> None:
        """Starts without a former report."""
        self._former: dict[str, tuple[float, int]] = {}

    def rate(self, name: str, count: int, now: float) -> float:
        """Returns the rate (1/s) since the last call with this name; 0.0 at the first.

        Args:
            name: of what is counted.
            count: so far; one that went down was started anew.
            now: s, steady clock.
        """
        then, former = self._former.get(name, (now, count))
        self._former[name] = (now, count)
        new = count - former if count >= former else count
        return new / (now - then) if now > then else 0.0


class Latencies:
    """The last latencies of readings, or one part of them, in seconds."""

    def __init__(self) -> None:
        """Starts without any."""
        self._recent: deque[float] = deque(maxlen=200)

    def add(self, latency: float) -> None:
        """Notes one, in seconds."""
        self._recent.append(latency)

    def percentiles(self) -> tuple[float, float]:
        """Returns the 50th and 95th percentile in ms; NaN without a reading."""
        if not self._recent:
            return (float("nan"), float("nan"))
        middle, high = np.percentile(np.fromiter(self._recent, float), (50, 95)) * 1e3
        return float(middle), float(high)


def memory_values() -> dict[str, str]:
    """Returns the process's memory, and the GPU's where a model uses one, in MiB."""
    with open("/proc/self/statm") as numbers:
        resident = int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    values = {"memory_mib": f"{resident / MEBIBYTE:.0f}"}
    torch = sys.modules.get("torch")
    # While the scoring thread imports it, the module is there before its parts are.
    cuda = getattr(torch, "cuda", None)
    if getattr(cuda, "is_initialized", lambda: False)():
        values["gpu_memory_mib"] = f"{cuda.memory_allocated() / MEBIBYTE:.0f}"
        values["gpu_memory_reserved_mib"] = f"{cuda.memory_reserved() / MEBIBYTE:.0f}"
    return values


def camera_status(
    camera: CameraHealth,
    *,
    topic: str,
    problem: str,
    rate: float,
    age: float,
    watched: bool,
    disorder: Mapping[str, int],
) -> tuple[str, bytes, str, dict[str, str]]:
    """Returns name, level, message and values of one camera.

    Args:
        camera: what is known of it.
        topic: its name.
        problem: why its topic cannot be read; empty if it can.
        rate: images per second.
        age: s since it was last heard, by the steady clock.
        watched: whether images are expected now.
        disorder: counts of the running episode: late and outlying messages, frozen frames.
    """
    if problem:
        level, message = ERROR, problem
    elif watched and camera.lost:
        level, message = ERROR, f"Silent for {age:.1f} s."
        if camera.refusal:
            message = f"No usable image for {age:.1f} s: {camera.refusal}"
    elif watched and camera.frozen:
        level, message = ERROR, "Frozen: its pictures are not new."
    elif watched and camera.conflict:
        level, message = WARN, camera.conflict
    elif camera.refusal:
        level, message = WARN, camera.refusal
    else:
        level, message = OK, "Heard." if camera.received else "Nothing heard yet."
    values = {
        "rate_hz": f"{rate:.1f}",
        "received": str(camera.received),
        "refused": str(camera.refused),
        "last_refusal": camera.refusal,
        "age_s": f"{age:.2f}",
        "lost": str(camera.lost).lower(),
        "frozen": str(camera.frozen).lower(),
        **{name: str(count) for name, count in disorder.items()},
    }
    return f"camera {topic}", level, message, values


def diagnostic_status(
    node: str, name: str, level: bytes, message: str, values: Mapping[str, str]
) -> DiagnosticStatus:
    """Returns one status, named after its node."""
    return DiagnosticStatus(
        level=level,
        name=f"{node}: {name}",
        message=printable(message),
        hardware_id=node,
        values=[
            KeyValue(key=printable(key), value=printable(value)) for key, value in values.items()
        ],
    )


def diagnostic_array(stamp: Time, statuses: list[DiagnosticStatus]) -> DiagnosticArray:
    """Returns the message of one report."""
    return DiagnosticArray(header=Header(stamp=stamp), status=statuses)
