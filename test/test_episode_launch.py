"""`ros2 launch topreward_ros reward.launch.py` runs episodes, survives a killed node, ends cleanly.

Skipped where launch is not installed, as with ROS 2 from PyPI.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("launch_ros")
rclpy = pytest.importorskip("rclpy")

from manager_stack import TASK
from reward_stack import write_checkpoint
from std_msgs.msg import Bool, Float64
from test_rigs import LOADING, RobotSide

from topreward_msgs.msg import EpisodeEvent

LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

file, *arguments = sys.argv[1:]
source = PythonLaunchDescriptionSource(file)
given = [tuple(each.split(":=", 1)) for each in arguments]
service = LaunchService(noninteractive=True)
included = IncludeLaunchDescription(source, launch_arguments=given)
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""
FILE = Path(__file__).resolve().parent.parent / "launch/reward.launch.py"


def start(log: Path, **arguments: str) -> subprocess.Popen[bytes]:
    given = [f"{name}:={value}" for name, value in arguments.items()]
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(FILE), *given],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def child(parent: int, name: str) -> int:
    """The process id of a node that a launch has started."""
    for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if f"__node:={name}" in Path(f"/proc/{number}/cmdline").read_text():
            return int(number)
    raise AssertionError(f"{name} is not a child of launch")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


def test_two_episodes_run_a_killed_node_comes_back_for_a_third_and_ctrl_c_ends_all_cleanly(
    model, tmp_path
):
    log = tmp_path / "launch.log"
    launch = start(
        log, rig="so101", model=str(model), device="cpu", manager="true", overlay="true",
        rosetta="true", respawn="true", instruction=TASK,
    )  # fmt: skip
    side = RobotSide("so101")
    rewards: list[float] = []
    done: list[bool] = []
    side.node.create_subscription(Float64, "/reward", lambda m: rewards.append(m.data), 10)
    side.node.create_subscription(Bool, "/episode_done", lambda m: done.append(m.data), 10)
    try:
        side.wait(lambda: side.status("model") is not None, LOADING)
        side.wait(lambda: side.state() == "inactive", LOADING)
        for number in (1, 2):
            assert side.begin().success
            side.wait(lambda: len(side.readings) >= 3)
            assert side.stop_it(run_stop_actions=True).success
            assert len(side.robot.calls) == number
            side.readings.clear()
        side.wait(lambda: side.pictures)
        side.wait(lambda: len(rewards) >= 6 and True in done)

        assert side.begin().success
        side.wait(lambda: side.readings)
        before = len(side.happened(EpisodeEvent.RECOVERED))
        os.kill(child(launch.pid, "reward_node"), signal.SIGKILL)
        ended = EpisodeEvent.REASON_MODEL_ERROR
        side.wait(
            lambda: (
                side.happened(EpisodeEvent.STOPPED)
                and side.happened(EpisodeEvent.STOPPED)[-1].termination_reason == ended
            )
        )
        side.wait(lambda: len(side.happened(EpisodeEvent.RECOVERED)) > before, 2 * LOADING)
        side.readings.clear()
        side.wait(lambda: side.state() == "inactive", LOADING)
        assert side.begin().success
        side.wait(lambda: len(side.readings) >= 3)
        assert side.stop_it().success
        assert len(side.happened(EpisodeEvent.STOPPED)) == 4

        os.killpg(launch.pid, signal.SIGINT)  # as a terminal does: to every process
        assert launch.wait(60.0) == 0
    finally:
        side.close()
        with suppress(ProcessLookupError):  # nodes too: they are of the launch's group
            os.killpg(launch.pid, signal.SIGKILL)
    text = log.read_text()
    for name in ("reward_node", "episode_manager", "overlay_node"):
        assert f"[{name}-" in text
    # reward_node was killed once and has ended once.
    assert text.count("process has finished cleanly") == 3, text
    assert text.count("process has died") == 1, text
    assert "Traceback" not in text
