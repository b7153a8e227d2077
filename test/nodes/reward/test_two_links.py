"""A reward node on another machine than the camera, with two links between them."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from repository import ROOT
from reward_stack import PATIENCE
from two_machines import DESK, ROBOT, TwoMachines, possible, two_machines
from warm_processes import fresh_process

from topreward_ros.nodes.running.node_commands import node_command

LOADING = 300.0
pytestmark = [pytest.mark.live, pytest.mark.slow]


class Heard:
    """What the camera's machine has heard so far."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def lines(self) -> list[str]:
        """Returns all of it."""
        return self._log.read_text().splitlines()

    def count(self, line: str) -> int:
        """Returns how often a line has come."""
        return Counter(self.lines())[line]

    def wait(self, line: str, more: int = 1, seconds: float = PATIENCE) -> None:
        """Waits until a line has come so many times more."""
        enough, end = self.count(line) + more, time.monotonic() + seconds
        while self.count(line) < enough:
            assert time.monotonic() < end, f"{line!r} after {self.lines()}"
            time.sleep(0.05)


@pytest.fixture
def machines(model, tmp_path):
    """Yields the machines, with both processes at work, and what is heard on the robot."""
    if not possible():
        pytest.skip("Two machines need root and network namespaces.")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
    parameters = {
        "model": str(model), "device": "cpu", "cameras": ["/camera/image"], "autostart": True,
        "instruction": "put the red cube on the disc", "camera_timeout": 1.5,
    }  # fmt: skip
    with two_machines() as made:
        node = node_command("reward_node", parameters, namespace="topreward")
        camera = [sys.executable, str(ROOT / "test" / "stands" / "distant_camera.py")]
        log = tmp_path / "heard"
        started = [
            fresh_process(made.command(DESK, node), env=environment, output=tmp_path / "node"),
            fresh_process(made.command(ROBOT, camera), env=environment, output=log),
        ]
        try:
            heard = Heard(log)
            heard.wait("reading", 3, LOADING)
            yield made, heard
        finally:
            for process in started:
                process.kill()
                process.wait()


def test_an_episode_goes_on_over_the_other_link_and_is_told_of_where_there_is_none(
    machines: tuple[TwoMachines, Heard],
):
    made, heard = machines
    made.cut(1)
    heard.wait("reading", 8)
    made.mend(1)
    made.cut(2)
    heard.wait("reading", 8)
    events = [line for line in heard.lines() if line.startswith("event")]
    assert events == ["event started "], "one of two links is enough, and nobody is told"
    made.cut(1)
    time.sleep(3.0)  # longer than camera_timeout
    made.mend(2)
    heard.wait("event recovered camera_lost")
    assert heard.count("event fault camera_lost") == 1
    heard.wait("reading", 3)
    assert heard.count("event started ") == 1, "the same episode goes on"
