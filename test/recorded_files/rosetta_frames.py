"""Bags as the real rosetta ports them, frame by frame, and what it should find in them.

Needs rosetta 0.2 and rosidl_runtime_py on the path (PYTHONPATH); without them tests are skipped.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rosbag2_reader
from rosbags.rosbag2 import Reader

from topreward_ros.offline.message_types import READING_TYPE, message_types

rosbag2_reader.stand_in()

CONTRACT = """\
robot_type: test
robot_interface: ros2
fps: 10
observations:
{cameras}
rewards:
  next.reward:
    channel: {{topic: {topic}, type: topreward_msgs/msg/RewardStamped, dtype: float64}}
    align: {{strategy: {strategy}, timeline: {timeline}}}
complementary_data:
  reading:
    channel: {{topic: {topic}, type: topreward_msgs/msg/RewardStamped, dtype: float64}}
    align: {{strategy: hold, timeline: {timeline}}}
    select: [stamp, progress, log_prob, success]
"""
CAMERA = """\
  observation.images.camera_{number}:
    channel: {{topic: {topic}, type: sensor_msgs/msg/Image}}
    align: {{strategy: hold, timeline: {timeline}}}
    apply: [resize: [48, 64]]
"""


def write_contract(
    path: Path, topic: str, *cameras: str, strategy: str = "hold", timeline: str = "header"
) -> Path:
    """Writes a contract of cameras with pictures of 48 x 64 px and the readings on a topic."""
    shown = "".join(
        CAMERA.format(number=number, topic=camera, timeline=timeline)
        for number, camera in enumerate(cameras)
    ).rstrip("\n")
    text = CONTRACT.format(cameras=shown, topic=topic, strategy=strategy, timeline=timeline)
    path.write_text(text)
    return path


def ported(bag: Path, contract: Path) -> list[dict[str, Any]]:
    """Returns the frames that rosetta's port makes of a bag."""
    source = pytest.importorskip("rosetta.robots.ros2.offline.bag_frames")
    specs = pytest.importorskip("rosetta.contract.specs")
    loaded = pytest.importorskip("rosetta.contract.schema").load_contract(contract)
    warmup = {one.key for one in specs.iter_observation_specs(loaded)}
    return list(source.iter_bag_frames(bag, list(specs.iter_specs(loaded)), warmup_keys=warmup))


def readings_of(bag: Path, topic: str) -> list[tuple[int, Any]]:
    """Returns a topic's readings: ns of the stamp, and the reading; by their stamps."""
    types, found = message_types(), []
    with Reader(bag) as reader:
        of_topic = [one for one in reader.connections if one.topic == topic]
        for _, _, data in reader.messages(of_topic):
            reading = types.deserialize_cdr(data, READING_TYPE)
            found.append((_ns(reading.header.stamp), reading))
    return sorted(found, key=lambda one: one[0])


def newest_readings(
    frames: list[dict[str, Any]], bag: Path, readings: list[tuple[int, Any]], *cameras: str
) -> list[Any]:
    """Returns, for each frame, the newest reading of what the frame shows; None before the first.

    Args:
        frames: of the port.
        bag: with the pictures, each of which is another.
        readings: of `readings_of`, of these or other copies of the pictures.
        cameras: image topics, in the contract's order.
    """
    stamps: dict[tuple[str, bytes], int] = {}
    with Reader(bag) as reader:
        for connection, _, data in reader.messages():
            if connection.topic in cameras:
                picture = message_types().deserialize_cdr(data, connection.msgtype)
                stamps[connection.topic, picture.data.tobytes()] = _ns(picture.header.stamp)
    known = [stamp for stamp, _ in readings]
    newest = []
    for frame in frames:
        shown = max(
            stamps[topic, np.ascontiguousarray(frame[f"observation.images.camera_{n}"]).tobytes()]
            for n, topic in enumerate(cameras)
        )
        place = bisect_right(known, shown)
        newest.append(readings[place - 1][1] if place else None)
    return newest


def _ns(stamp: Any) -> int:
    return stamp.sec * 1_000_000_000 + stamp.nanosec
