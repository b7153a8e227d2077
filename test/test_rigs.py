"""Each rig's file fits a robot that publishes that stack's topics, as its drivers do."""

from __future__ import annotations

import sys
from array import array
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import cv2
import pytest
import yaml
from manager_stack import TASK, ManagerSide, Robot
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from repository import ROOT
from reward_stack import START, Tester, image, picture, ros
from sensor_msgs.msg import CompressedImage, Image

from topreward_ros.nodes.manager.emergency_names import is_emergency_stop
from topreward_ros.nodes.manager.parameters import REASONS, ManagerParameters, StopActionSettings
from topreward_ros.nodes.messages import time_message
from topreward_ros.nodes.processes import ProcessGroup
from topreward_ros.nodes.reward.parameters import RULES
from topreward_ros.nodes.viewing.overlay_parameters import OverlayParameters

RIGS = ROOT / "config/rigs"
RELIABLE = QoSProfile(depth=10)
LOADING = 480.0
"""s until the model must be loaded; a busy machine imports torch for a minute."""
# What the drivers of each stack publish: topic, type, quality of service. usb_cam and RealSense
# nodes publish reliably; a stack with sensor-data QoS everywhere is the other case there is.
CAMERAS = {
    "so101": [
        ("/static_camera/image_raw", Image, RELIABLE),
        ("/follower/image_raw", Image, RELIABLE),
    ],
    "franka": [
        ("/camera/third_person/color/image_raw/compressed", CompressedImage, RELIABLE),
        ("/camera/wrist_camera/color/image_rect_raw/compressed", CompressedImage, RELIABLE),
    ],
    "yam": [
        ("/camera/camera/color/image_raw/compressed", CompressedImage, qos_profile_sensor_data)
    ],
}
STOPS = {
    "so101": [("/episode_recorder/stop_recording", None)],
    "franka": [("/record_transition", "record"), ("/record_transition", "save")],
    "yam": [],
}


def sections(rig: str) -> dict[str, dict]:
    content = yaml.safe_load((RIGS / f"{rig}.yaml").read_text())
    return {name.removeprefix("/**/"): part["ros__parameters"] for name, part in content.items()}


def test_every_rig_is_tested() -> None:
    assert {path.stem for path in RIGS.iterdir()} == set(CAMERAS)


@pytest.mark.parametrize("rig", CAMERAS)
def test_a_rig_names_only_parameters_that_exist(rig: str) -> None:
    given = sections(rig)
    assert set(given) == {"reward_node", "episode_manager", "overlay_node"}
    assert set(given["reward_node"]) <= set(RULES)
    assert set(given["overlay_node"]) <= {rule.name for rule in fields(OverlayParameters)}
    manager = given["episode_manager"]
    actions = [name for name in manager["stop_actions"] if name]
    assert set(manager) - set(actions) <= {rule.name for rule in fields(ManagerParameters)}
    for name in actions:
        assert set(manager[name]) <= {rule.name for rule in fields(StopActionSettings)}


@pytest.mark.parametrize("rig", CAMERAS)
def test_no_rig_ends_an_episode_by_an_emergency_stop(rig: str) -> None:
    manager = sections(rig)["episode_manager"]
    assert not manager.get("allow_emergency_stop", False)
    targets = [manager[name]["target"] for name in manager["stop_actions"] if name]
    assert not any(map(is_emergency_stop, targets))
    assert "/yam/emergency_stop" not in (RIGS / f"{rig}.yaml").read_text()


@pytest.mark.parametrize("rig", CAMERAS)
def test_what_stops_a_recorder_runs_however_the_episode_ends(rig: str) -> None:
    manager = sections(rig)["episode_manager"]
    for name in filter(None, manager["stop_actions"]):
        assert sorted(manager[name]["when"]) == sorted(REASONS)


def test_the_tables_of_this_test_are_those_of_the_files() -> None:
    for rig, cameras in CAMERAS.items():
        assert sections(rig)["reward_node"]["cameras"] == [topic for topic, _, _ in cameras]


class RobotSide(ManagerSide, Tester):
    """A robot of a rig: its cameras, what ends its episodes, and somebody who asks."""

    def __init__(self, rig: str) -> None:
        Tester.__init__(self, "/topreward/reward_node")
        self.manage("/topreward/episode_manager")
        self.robot = Robot(self)
        self.pictures: list[Image] = []
        self.node.create_subscription(
            Image, "/topreward/overlay_node/overlay", self.pictures.append, 10
        )
        for target in {target for target, _ in STOPS[rig]}:
            offer = self.robot.listen if rig == "franka" else self.robot.trigger
            offer(target)
        self._cameras = [
            (self.node.create_publisher(kind, topic, qos), kind)
            for topic, kind, qos in CAMERAS[rig]
        ]
        self._shown = 0
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.node.create_timer(0.1, self._film, clock=steady)

    def _film(self) -> None:
        """Shows 0.25 s of camera time every 0.1 s."""
        self._shown += 1
        for number, (camera, kind) in enumerate(self._cameras):
            stamp, seed = START + self._shown / 4, 2 * self._shown + number
            camera.publish(image(stamp, seed) if kind is Image else jpeg(stamp, seed))


def jpeg(stamp: float, seed: int) -> CompressedImage:
    message = CompressedImage(format="rgb8; jpeg compressed bgr8")  # as image_transport has it
    message.header.stamp = time_message(stamp)
    message.data = array("B", cv2.imencode(".jpg", picture(seed))[1].tobytes())
    return message


@contextmanager
def running(rig: str, model: Path, *more: str):
    """The whole stack in processes of its own, with a robot beside it."""
    arguments = ["--rig", rig, "--model", str(model), "--device", "cpu", "--manager", "--overlay"]
    stack = [sys.executable, "-m", "topreward_ros.nodes.programs", "stack", *arguments, *more]
    with ros(), ProcessGroup() as group:
        group.start("stack", stack)
        side = RobotSide(rig)
        try:
            yield side
            (end,) = group.stop()
            assert end.code == 0
        finally:
            side.close()


@pytest.mark.parametrize("rig", CAMERAS)
def test_the_rigs_topics_give_readings_an_overlay_and_its_stop_actions_end_the_episode(
    rig: str, model: Path
) -> None:
    with running(rig, model) as side:
        side.wait(lambda: side.status("model") is not None, LOADING)
        side.wait(lambda: side.state() == "inactive", LOADING)
        started = side.begin(TASK)
        assert started.success, started.message
        side.wait(lambda: len(side.readings) >= 4)
        assert {reading.instruction for reading in side.readings} == {TASK}
        assert side.readings[-1].log_prob < 0.0
        height, width = picture().shape[:2]  # side by side, so that no camera is under the curve
        size = (height, width * len(CAMERAS[rig]))
        side.wait(lambda: any((seen.height, seen.width) == size for seen in side.pictures))
        stopped = side.stop_it(run_stop_actions=True)
        assert stopped.success, stopped.message
        side.wait(lambda: len(side.robot.calls) >= len(STOPS[rig]))
        assert side.robot.calls == STOPS[rig]
