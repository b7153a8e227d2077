"""`ros2 launch topreward_ros reward.launch.py` runs episodes, survives a killed node, ends cleanly.

Skipped where launch is not installed, as with ROS 2 from PyPI.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest
from repository import ROOT

launch_pytest = pytest.importorskip("launch_pytest")
pytest.importorskip("launch_ros")
rclpy = pytest.importorskip("rclpy")

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_pytest.actions import ReadyToTest
from manager_stack import TASK
from std_msgs.msg import Bool, Float64
from test_rigs import LOADING, RobotSide

from topreward_msgs.msg import EpisodeEvent

LAUNCH = """
import signal
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
file, *arguments = sys.argv[1:]
source = PythonLaunchDescriptionSource(file)
given = [tuple(each.split(":=", 1)) for each in arguments]
service = LaunchService(noninteractive=True)
included = IncludeLaunchDescription(source, launch_arguments=given)
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""
FILE = ROOT / "launch/reward.launch.py"
NODES = ("reward_node", "episode_manager", "overlay_node")


def arguments(model: Path) -> dict[str, str]:
    return {
        "rig": "so101", "model": str(model), "device": "cpu", "instruction": TASK,
        "manager": "true", "overlay": "true", "rosetta": "true", "respawn": "true",
    }  # fmt: skip


class Side(RobotSide):
    """The robot's side, and what rosetta would read."""

    def __init__(self) -> None:
        super().__init__("so101")
        self.rosetta_rewards: list[float] = []
        self.rosetta_done: list[bool] = []
        self.rosetta_truncated: list[bool] = []
        listen = self.node.create_subscription
        listen(Float64, "/reward", lambda m: self.rosetta_rewards.append(m.data), 10)
        listen(Bool, "/episode_done", lambda m: self.rosetta_done.append(m.data), 10)
        listen(Bool, "/episode_truncated", lambda m: self.rosetta_truncated.append(m.data), 10)

    def until_up(self) -> None:
        """Waits until the manager has brought the reward node up."""
        self.wait(lambda: self.status("model") is not None, LOADING)
        self.wait(lambda: self.state() == "inactive", LOADING)

    def run_episode(self, **stop: bool) -> None:
        """Starts an episode, waits for readings of it, and stops it."""
        self.readings.clear()
        assert self.begin().success
        self.wait(lambda: len(self.readings) >= 3)
        assert self.stop_it(**stop).success

    def ends(self) -> list[str]:
        """Why each episode has ended so far."""
        return [event.termination_reason for event in self.happened(EpisodeEvent.STOPPED)]


class Processes:
    """What launch tells of its processes, by node."""

    def __init__(self) -> None:
        self.started: dict[str, list[int]] = defaultdict(list)
        """Process ids."""
        self.ended: dict[str, list[int]] = defaultdict(list)
        """Exit codes."""

    def handlers(self) -> list[RegisterEventHandler]:
        """Returns what listens to launch, for a launch description."""

        def start(event, _):
            self.started[node_of(event)].append(event.pid)

        def end(event, _):
            self.ended[node_of(event)].append(event.returncode)

        return [
            RegisterEventHandler(OnProcessStart(on_start=start)),
            RegisterEventHandler(OnProcessExit(on_exit=end)),
        ]


def node_of(event) -> str:
    return event.process_name.rsplit("-", 1)[0]  # launch adds a number


@pytest.fixture
def side():
    made = Side()
    yield made
    made.close()


@launch_pytest.fixture
def stack(model):
    processes = Processes()
    source = PythonLaunchDescriptionSource(str(FILE))
    included = IncludeLaunchDescription(source, launch_arguments=arguments(model).items())
    return LaunchDescription([*processes.handlers(), included, ReadyToTest()]), processes


@pytest.mark.launch(fixture=stack)
def test_two_episodes_run_a_killed_node_comes_back_for_another_and_all_end_with_0(stack, side):
    _, processes = stack
    side.until_up()
    for number in (1, 2):
        side.run_episode(run_stop_actions=True)
        assert len(side.robot.calls) == number
    side.wait(lambda: side.pictures)
    side.wait(lambda: len(side.rosetta_rewards) >= 6 and True in side.rosetta_done)
    side.wait(lambda: True in side.rosetta_truncated)

    side.readings.clear()
    assert side.begin().success
    side.wait(lambda: side.readings)
    before = len(side.happened(EpisodeEvent.RECOVERED))
    os.kill(processes.started["reward_node"][0], signal.SIGKILL)
    side.wait(lambda: len(side.ends()) == 3)
    side.wait(lambda: len(side.happened(EpisodeEvent.RECOVERED)) > before, 2 * LOADING)
    side.wait(lambda: side.state() == "inactive", LOADING)
    side.run_episode()
    stopped = EpisodeEvent.REASON_STOPPED
    assert side.ends() == [stopped, stopped, EpisodeEvent.REASON_MODEL_ERROR, stopped]
    yield  # launch shuts down
    assert {name: len(pids) for name, pids in processes.started.items()} == {
        name: 2 if name == "reward_node" else 1 for name in NODES
    }
    assert processes.ended == {
        "reward_node": [-signal.SIGKILL, 0], "episode_manager": [0], "overlay_node": [0]
    }  # fmt: skip


def test_ctrl_c_ends_a_running_episode_and_every_node_with_0(model, side, tmp_path):
    log = tmp_path / "launch.log"
    given = [f"{name}:={value}" for name, value in arguments(model).items()]
    with log.open("wb") as output:
        launch = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(FILE), *given],
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        side.until_up()
        assert side.begin().success
        side.wait(lambda: side.readings)
        os.killpg(launch.pid, signal.SIGINT)  # as a terminal does: to every process
        side.wait(lambda: launch.poll() is not None)
        side.wait(lambda: side.ends() == [EpisodeEvent.REASON_SHUTDOWN])
    finally:
        with suppress(ProcessLookupError):  # nodes too: they are of the launch's group
            os.killpg(launch.pid, signal.SIGKILL)
    text = log.read_text()
    assert launch.returncode == 0, text
    assert text.count("process has finished cleanly") == len(NODES), text
    assert "process has died" not in text
    assert "Traceback" not in text
