"""The overlay node shows what the reward node says, over real DDS."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from array import array
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from callback_runner import CallbackRunner
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image
from visualization_msgs.msg import MarkerArray

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.messages import latched, time_message
from topreward_ros.nodes.parameters import ParameterError
from topreward_ros.nodes.reward.reward_node import RewardNode
from topreward_ros.nodes.viewing.overlay_node import OverlayNode
from topreward_ros.video.mosaic import tile
from topreward_ros.video.overlay import OverlayState, draw_overlay
from topreward_ros.video.resizing import resize

PATIENCE = 60.0
TASK = "put the red cube on the disc"
_numbers = itertools.count()
pytestmark = pytest.mark.usefixtures("context")


def picture(seed: int = 0, height: int = 240, width: int = 320) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def image(pixels: np.ndarray, stamp: float = 100.0) -> Image:
    height, width = pixels.shape[:2]
    message = Image(height=height, width=width, encoding="rgb8", step=width * 3)
    message.header.stamp = time_message(stamp)
    message.header.frame_id = "lens"
    message.data = array("B", pixels.tobytes())
    return message


def reading(time_: float, progress: float, episode: str = "a", **fields) -> RewardStamped:
    message = RewardStamped(episode_id=episode, instruction=TASK, progress=progress)
    message.episode_time, message.log_prob, message.reward = time_, -1.5, 0.25
    message.model = "somebody/some-model"
    for name, value in fields.items():
        setattr(message, name, value)
    return message


class Bench(CallbackRunner):
    """An overlay node, and around it a camera, a reward node's topics and somebody who looks."""

    patience = PATIENCE

    def __init__(self, cameras: int = 1, watched: bool = True, kind=Image, **parameters) -> None:
        space = f"/o{next(_numbers)}"
        self.topics = [f"{space}/camera_{number}" for number in range(cameras)]
        given = {"cameras": self.topics, "rate": 10.0, **parameters}
        overrides = [Parameter(name, value=value) for name, value in given.items()]
        options = {"namespace": space, "use_global_arguments": False}
        self.overlay = OverlayNode(parameter_overrides=overrides, **options)
        self.node = Node("bench", **options)
        self.cameras = [
            self.node.create_publisher(kind, topic, qos_profile_sensor_data)
            for topic in self.topics
        ]
        self.readings = self.node.create_publisher(RewardStamped, "reward_node/reading", 10)
        self.events = self.node.create_publisher(EpisodeEvent, "reward_node/event", latched(10))
        self.managers = self.node.create_publisher(
            EpisodeEvent, "episode_manager/episode_event", latched(10)
        )
        self.seen: list[Image] = []
        self.marked: list[MarkerArray] = []
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.overlay)
        self._executor.add_node(self.node)
        self.outputs = [self.listen(MarkerArray, "overlay_node/markers", self.marked.append)]
        if watched:
            self.outputs.append(self.listen(Image, "overlay_node/overlay", self.seen.append))
        self.wait(self._matched)

    def _matched(self) -> bool:
        publishers = [*self.cameras, self.readings, self.events, self.managers]
        return all(one.get_subscription_count() for one in publishers) and all(
            one.get_publisher_count() for one in self.outputs
        )

    def listen(self, kind, topic, callback):
        """Subscribes as RViz does."""
        qos = latched(10) if kind is MarkerArray else 10
        return self.node.create_subscription(kind, topic, callback, qos)

    def shows(self, expected: np.ndarray) -> None:
        """Waits until the newest overlay is that picture; the pixels are compared."""

        def same() -> bool:
            return bool(self.seen) and np.array_equal(pixels_of(self.seen[-1]), expected)

        self.wait(same)

    def close(self) -> None:
        """Ends everything."""
        self._executor.shutdown()
        self.overlay.destroy_node()
        self.node.destroy_node()


@contextmanager
def bench(**options):
    made = Bench(**options)
    try:
        yield made
    finally:
        made.close()


def pixels_of(message: Image) -> np.ndarray:
    assert message.encoding == "rgb8" and message.step == 3 * message.width
    return np.frombuffer(bytes(message.data), np.uint8).reshape(message.height, message.width, 3)


def state(**fields) -> OverlayState:
    shown = {
        "instruction": TASK,
        "times": [0.0, 4.0],
        "progress": [0.1, 0.6],
        "log_prob": -1.5,
        "reward": 0.25,
        "model": "some-model",
    }
    return OverlayState(**{**shown, **fields})


def test_the_overlay_is_the_cameras_picture_with_the_readings_so_far():
    with bench() as live:
        live.readings.publish(reading(0.0, 0.1))
        live.readings.publish(reading(4.0, 0.6))
        live.cameras[0].publish(image(picture()))
        live.shows(draw_overlay(picture(), state()))
        assert live.seen[-1].header.frame_id == "lens"
        assert live.seen[-1].header.stamp.sec == 100


def test_success_is_shown_from_the_time_at_which_it_came():
    with bench() as live:
        live.readings.publish(reading(0.0, 0.1))
        live.readings.publish(reading(4.0, 0.6, success=True))
        live.cameras[0].publish(image(picture()))
        live.shows(draw_overlay(picture(), state(success=True, success_time=4.0)))


def test_another_episode_starts_another_curve_and_its_start_clears_the_old_one():
    with bench() as live:
        live.cameras[0].publish(image(picture()))
        live.readings.publish(reading(9.0, 1.0, success=True))
        live.wait(lambda: live.seen)
        started = EpisodeEvent(event=EpisodeEvent.STARTED, episode_id="b", instruction="other")
        live.events.publish(started)
        live.shows(draw_overlay(picture(), OverlayState(instruction="other")))
        live.readings.publish(reading(0.0, 0.1, "b"))
        live.readings.publish(reading(4.0, 0.6, "b"))
        live.shows(draw_overlay(picture(), state()))


def test_the_end_of_an_episode_is_written_on_it_and_the_curve_stays():
    with bench() as live:
        live.cameras[0].publish(image(picture()))
        live.readings.publish(reading(0.0, 0.1))
        live.readings.publish(reading(4.0, 0.6))
        live.wait(lambda: live.marked and "60 %" in live.marked[-1].markers[0].text)
        ended = EpisodeEvent(event=EpisodeEvent.STOPPED, episode_id="a")
        ended.termination_reason = EpisodeEvent.REASON_TIMEOUT
        live.events.publish(ended)
        live.shows(draw_overlay(picture(), state(model="ended: timeout")))


@pytest.mark.parametrize(
    ("reason", "outcome", "written"),
    [
        ("success", "success", "success"),
        ("timeout", "failure", "timeout, failure"),
        ("canceled", "unlabelled", "canceled"),
    ],
)
@pytest.mark.parametrize("manager_first", [True, False])
def test_the_end_of_a_managed_episode_is_what_its_manager_says(
    manager_first, reason, outcome, written
):
    """The reward node knows only that the manager deactivated it."""
    node_says = EpisodeEvent(
        event="stopped", episode_id="a", termination_reason="deactivated", outcome="unlabelled"
    )
    manager_says = EpisodeEvent(
        event="stopped", episode_id="a", termination_reason=reason, outcome=outcome
    )
    with bench() as live:
        live.cameras[0].publish(image(picture()))
        live.readings.publish(reading(0.0, 0.1))
        live.readings.publish(reading(4.0, 0.6))
        live.wait(lambda: live.marked and "60 %" in live.marked[-1].markers[0].text)
        first, second = (live.managers, manager_says), (live.events, node_says)
        for publisher, message in (first, second) if manager_first else (second, first):
            count = len(live.marked)
            publisher.publish(message)
            live.wait(lambda count=count: len(live.marked) > count)
        live.shows(draw_overlay(picture(), state(model=f"ended: {written}")))


@pytest.mark.parametrize(("layout", "shown"), [("column", "column"), ("main_inset", "grid")])
def test_several_cameras_are_laid_out_as_for_the_model_but_none_lies_under_the_curve(layout, shown):
    with bench(cameras=2, layout=layout) as live:
        for seed, camera in enumerate(live.cameras):
            camera.publish(image(picture(seed)))
        live.shows(draw_overlay(tile([picture(0), picture(1)], shown), OverlayState()))


def test_a_broken_picture_leaves_the_other_camera_in_sight():
    with bench(cameras=2) as live:
        broken = image(picture(1))
        broken.encoding = "nonsense"
        live.cameras[1].publish(broken)
        live.cameras[0].publish(image(picture(0)))
        live.shows(draw_overlay(picture(0), OverlayState()))


def test_compressed_cameras_and_pictures_wider_than_allowed():
    with bench(kind=CompressedImage, transport="compressed", max_width=160) as live:
        message = CompressedImage(format="png")
        message.data = array("B", cv2.imencode(".png", picture()[..., ::-1])[1].tobytes())
        live.cameras[0].publish(message)
        live.shows(draw_overlay(resize(picture(), (120, 160)), OverlayState()))


def test_nothing_is_drawn_while_nobody_looks():
    with bench(watched=False) as live:
        live.readings.publish(reading(0.0, 0.1))
        live.cameras[0].publish(image(picture()))
        live.wait(lambda: live.marked)
        live.linger(0.5)
        assert live.overlay.drawn == 0
        live.listen(Image, "overlay_node/overlay", live.seen.append)
        live.wait(lambda: live.seen)
        assert live.overlay.drawn >= 1


def test_nothing_is_drawn_twice_and_never_more_often_than_the_rate():
    with bench(rate=4.0) as live:
        started = time.monotonic()
        for number in range(40):
            live.cameras[0].publish(image(picture(number % 3), 100.0 + number))
            live.linger(0.025)
        live.linger(0.5)
        elapsed = time.monotonic() - started
        drawn = live.overlay.drawn
        assert 2 <= drawn <= 4 * elapsed + 1
        live.linger(0.6)
        assert live.overlay.drawn == drawn


def test_without_cameras_of_its_own_it_takes_those_of_the_reward_node():
    with bench(cameras=0) as live:
        space = live.node.get_namespace()
        own = {"cameras": [f"{space}/left", f"{space}/right"], "layout": "column"}
        overrides = [Parameter(name, value=value) for name, value in own.items()]
        reward = RewardNode(
            namespace=space, parameter_overrides=overrides, use_global_arguments=False
        )
        live._executor.add_node(reward)
        try:
            cameras = [live.node.create_publisher(Image, topic, 10) for topic in own["cameras"]]
            live.wait(lambda: all(camera.get_subscription_count() for camera in cameras))
            live.linger(0.2)
            for seed, camera in enumerate(cameras):
                camera.publish(image(picture(seed)))
            live.shows(draw_overlay(tile([picture(0), picture(1)], "column"), OverlayState()))
        finally:
            live._executor.remove_node(reward)
            reward.end()


def test_markers_reach_whoever_comes_later():
    with bench() as live:
        live.readings.publish(reading(0.0, 0.5, success=True))
        live.wait(lambda: live.marked)
        late: list[MarkerArray] = []
        live.listen(MarkerArray, "overlay_node/markers", late.append)
        live.wait(lambda: late)
        assert "50 %" in late[0].markers[0].text and "SUCCESS" in late[0].markers[0].text


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rate", 60.0, "rate is 60.0; expected 0.1 to 10"),
        ("layout", "heap", "layout is 'heap'; expected row, column, grid or main_inset"),
        ("position", [1.0, 2.0], "position is [1.0, 2.0]; expected a list of 3 numbers"),
        ("max_width", "wide", "max_width is 'wide'; expected a whole number"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_with_a_sentence(name, value, expected):
    override = [Parameter(name, value=value)]
    with pytest.raises(ParameterError) as caught:
        OverlayNode(parameter_overrides=override, use_global_arguments=False)
    assert expected in str(caught.value)


def test_the_process_ends_with_0_after_a_signal_and_with_1_and_a_sentence_for_a_bad_parameter():
    command = [sys.executable, "-m", "topreward_ros.nodes.viewing.overlay_node", "--ros-args"]
    refused = subprocess.run(
        [*command, "-p", "layout:=heap"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert refused.returncode == 1
    assert refused.stderr.strip().endswith("How several cameras become one picture.")
    assert "Traceback" not in refused.stderr
    node = Node("waiting")
    running = subprocess.Popen([*command, "-r", "__ns:=/ending"])
    try:
        end = time.monotonic() + PATIENCE
        while ("overlay_node", "/ending") not in node.get_node_names_and_namespaces():
            assert time.monotonic() < end
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 0
    finally:
        running.kill()
        node.destroy_node()
