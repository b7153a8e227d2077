"""Bags of raw images, written message by message."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from topreward_ros.offline.message_types import EVENT_TYPE, message_types

STORE = get_typestore(Stores.ROS2_JAZZY)
IMAGE = "sensor_msgs/msg/Image"
NANO = 1_000_000_000


def raw_image(stamp: int, pixels: np.ndarray, encoding: str = "rgb8") -> Any:
    """An Image of (height, width, 3) uint8 pixels at `stamp` ns; other encodings are a lie."""
    time = STORE.types["builtin_interfaces/msg/Time"](stamp // NANO, stamp % NANO)
    height, width, _ = pixels.shape
    return STORE.types[IMAGE](
        header=STORE.types["std_msgs/msg/Header"](stamp=time, frame_id="optical"),
        height=height, width=width, encoding=encoding, is_bigendian=0, step=3 * width,
        data=pixels.reshape(-1),
    )  # fmt: skip


def write_image_bag(path: Path, messages: Iterable[tuple[str, Any]]) -> Path:
    """Writes topics and their messages, recorded in this order; returns the path."""
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Any] = {}
        for number, (topic, message) in enumerate(messages):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, IMAGE, typestore=STORE)
            writer.write(connections[topic], number, STORE.serialize_cdr(message, IMAGE))
    return path


def event(kind: str, name: str, instruction: str = "", stamp: int = 0, **values: Any) -> Any:
    """An EpisodeEvent; `values` are other fields of it."""
    store = message_types()
    time = store.types["builtin_interfaces/msg/Time"](stamp // NANO, stamp % NANO)
    header = store.types["std_msgs/msg/Header"](stamp=time, frame_id="")
    given = {
        "termination_reason": "", "outcome": "", "detail": "", "duration": 0.0, "readings": 0,
        "log_prob": 0.0, "progress": 0.0, "success_score": 0.0, **values,
    }  # fmt: skip
    return store.types[EVENT_TYPE](
        header=header, event=kind, episode_id=name, instruction=instruction, **given
    )


def write_bag(
    path: Path,
    messages: Iterable[tuple[int, str, Any]],
    storage: StoragePlugin = StoragePlugin.MCAP,
    custom: dict[str, str] | None = None,
) -> Path:
    """Writes messages of any type: ns of their recording, topic, message; returns the path."""
    store = message_types()
    with Writer(path, version=9, storage_plugin=storage) as writer:
        for name, value in (custom or {}).items():
            writer.set_custom_data(name, value)
        connections: dict[str, Any] = {}
        for received, topic, message in messages:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], received, store.serialize_cdr(message, kind))
    return path
