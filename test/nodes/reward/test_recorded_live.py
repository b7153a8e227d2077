"""What the nodes publish, recorded as it comes, becomes labels beside their pictures."""

from __future__ import annotations

import time
from importlib.util import find_spec

import pytest
from reward_stack import image, stack
from rosbags.rosbag2 import StoragePlugin, Writer
from rosetta_frames import newest_readings, ported, readings_of, write_contract
from sensor_msgs.msg import Image

from topreward_msgs.msg import RewardStamped
from topreward_ros.offline.label import main
from topreward_ros.offline.message_types import READING_TYPE, message_types

IMAGE_TYPE = "sensor_msgs/msg/Image"
SECONDS = 4.0
PERIOD = 0.1
"""s, of the camera."""


class Recorder:
    """Keeps two topics' messages, serialised, with the time at which they came."""

    def __init__(self, node, camera: str, readings: str) -> None:
        self.messages: list[tuple[int, str, bytes]] = []
        self._types = {camera: IMAGE_TYPE, readings: READING_TYPE}
        for topic, kind in ((camera, Image), (readings, RewardStamped)):
            node.create_subscription(
                kind, topic, lambda data, topic=topic: self._keep(topic, data), 100, raw=True
            )

    def count(self, topic: str) -> int:
        """Messages of a topic so far."""
        return sum(1 for _, name, _ in self.messages if name == topic)

    def write(self, path):
        """Writes them as a bag; returns its path."""
        with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            to = {
                topic: writer.add_connection(topic, kind, typestore=message_types())
                for topic, kind in self._types.items()
            }
            for received, topic, data in self.messages:
                writer.write(to[topic], received, data)
        return path

    def _keep(self, topic: str, data: bytes) -> None:
        self.messages.append((time.time_ns(), topic, bytes(data)))


@pytest.fixture(scope="module")
def recording(context, model, tmp_path_factory):
    """A bag of a live episode, its camera and the topic of its readings."""
    with stack(model, sample_rate=2.0, motion_gate=False) as lab:
        camera, readings = lab.topics[0], f"{lab._name}/reading"
        recorder = Recorder(lab.node, camera, readings)
        lab.up()
        lab.wait(lambda: lab.cameras[0].get_subscription_count() == 2)
        for number in range(round(SECONDS / PERIOD)):
            lab.cameras[0].publish(image(time.time(), seed=number))
            lab.linger(PERIOD)
        lab.wait(lambda: recorder.count(readings) >= 2 * SECONDS - 1)
        lab.linger(0.5)
        path = recorder.write(tmp_path_factory.mktemp("live") / "episode")
    return path, camera, readings


@pytest.fixture(scope="module")
def beside(recording, tmp_path_factory):
    """The copy in which its readings stand beside their pictures."""
    path, _, topic = recording
    out = tmp_path_factory.mktemp("moved") / "episode"
    assert main([str(path), "--bag", str(out), "--recorded", "--reading-topic", topic]) == 0
    return out


def test_every_reading_that_was_published_finds_its_picture(recording, beside):
    path, _, topic = recording
    published, kept = readings_of(path, topic), readings_of(beside, topic)
    assert len(published) >= 2 * SECONDS - 1
    assert [repr(one) for one in kept] == [repr(one) for one in published]  # NaN is NaN here


@pytest.mark.skipif(not find_spec("rosetta"), reason="rosetta 0.2 is not installed")
def test_rosetta_gives_each_frame_the_reading_of_what_it_shows(recording, beside, tmp_path):
    path, camera, topic = recording
    contract = write_contract(tmp_path / "c.yaml", topic, camera)
    frames, readings = ported(beside, contract), readings_of(path, topic)
    newest = newest_readings(frames, beside, readings, camera)
    assert len(frames) >= 35
    given = [frame["next.reward"].item() for frame in frames]
    assert given == [0.0 if one is None else one.reward for one in newest]
    assert len(set(given)) > 2
