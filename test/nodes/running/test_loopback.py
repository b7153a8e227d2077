"""Which addresses the processes bind to: the demo's to loopback alone, by what the kernel says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/net/udp").exists(), reason="needs Linux's /proc")
DEADLINE = 300.0
"""s, on a busy machine."""
ISOLATING = (
    "ROS_AUTOMATIC_DISCOVERY_RANGE", "FASTRTPS_DEFAULT_PROFILES_FILE",
    "FASTDDS_DEFAULT_PROFILES_FILE",
)  # fmt: skip
TABLES = ("udp", "udp6", "tcp", "tcp6")


def family(pid: int) -> set[int]:
    """A process and all it has started."""
    found = {pid}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found |= {one for child in task.read_text().split() for one in family(int(child))}
    return found


def sockets(pid: int) -> set[str]:
    """Local addresses, as the kernel writes them, of a process's sockets of the internet."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(FileNotFoundError):  # one that has just been closed
            match = re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink()))
            inodes |= {match[1]} if match else set()
    rows = [
        line.split() for table in TABLES if Path(f"/proc/{pid}/net/{table}").exists()
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]  # fmt: skip
    return {row[1].split(":")[0] for row in rows if row[9] in inodes}


def watched(command: list[str], environment: dict[str, str]) -> tuple[int, dict[int, set[str]]]:
    """Runs a program; returns its exit code and the addresses of each process in it."""
    clean = {key: value for key, value in os.environ.items() if key not in ISOLATING}
    program = subprocess.Popen(command, env=clean | environment, stdout=subprocess.DEVNULL)
    seen: dict[int, set[str]] = {}
    end = time.monotonic() + DEADLINE
    try:
        while program.poll() is None:
            assert time.monotonic() < end
            try:
                for pid in family(program.pid):
                    seen.setdefault(pid, set()).update(sockets(pid))
            except (FileNotFoundError, ProcessLookupError):
                pass  # one that has just ended
            time.sleep(0.1)
    finally:
        program.kill()
    return program.returncode, seen


@pytest.mark.slow
def test_the_demo_binds_to_loopback_alone_and_works(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "topreward_ros.commands", "demo", "--plain"]
    code, seen = watched([*command, "--output", str(tmp_path)], {})
    assert code == 0
    speaking = {pid: addresses for pid, addresses in seen.items() if addresses}
    assert len(speaking) == 3  # reward_node, replay_node, the demo itself
    assert set().union(*speaking.values()) == {"0100007F"}  # 127.0.0.1


def test_localhost_alone_listens_on_all_interfaces() -> None:
    """Why the demo does more, and what docs/security.md says of other programs."""
    program = "import rclpy, time; rclpy.init(); n = rclpy.create_node('a'); time.sleep(4)"
    _, seen = watched(
        [sys.executable, "-c", program], {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    )
    assert "00000000" in set().union(*seen.values())
