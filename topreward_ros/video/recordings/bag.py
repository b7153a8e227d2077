"""Image messages of a rosbag2, from mcap or sqlite3."""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import TYPE_CHECKING

from rosbags.typesys import Stores, get_typestore

from topreward_ros.video.image import StampError, stamp_seconds
from topreward_ros.video.recordings.bag_messages import damaged, raw_messages, read_index
from topreward_ros.video.recordings.bag_part import WHOLE, BagPart
from topreward_ros.video.recordings.recording import (
    ImageTopic,
    RecordedImage,
    Recording,
    RecordingError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHORTEST_GAP = 1e-4
"""s between two messages of a bag on average; no recorder is faster."""
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


class Bag(Recording):
    """A bag on disk, or a part of it.

    Image types are the same in all distributions, so the definitions within the bag are not needed.
    """

    def __init__(self, path: Path, part: BagPart = WHOLE) -> None:
        """Reads the bag's index.

        Args:
            path: a rosbag2 directory, or a single `.mcap` or `.db3` file.
            part: whose pictures are meant; topics and duration are the whole bag's.

        Raises:
            RecordingError: it is damaged, or holds no images.
        """
        index = read_index(path)
        found = {(c.topic, c.msgtype): 0 for c in index.connections}
        for connection in index.connections:
            found[connection.topic, connection.msgtype] += connection.msgcount
        topics = {
            name: ImageTopic(kind, count)
            for (name, kind), count in sorted(found.items())
            if kind in IMAGE_TYPES and count
        }
        if not topics:
            others = ", ".join(f"{name} ({kind}, {n})" for (name, kind), n in sorted(found.items()))
            raise RecordingError(
                f"{path} holds no images; expected messages of type {' or '.join(IMAGE_TYPES)}, "
                f"and it has {others or 'no messages at all'}."
            )
        super().__init__(path, topics, index.duration)
        self._part = part

    def _images(self, topics: frozenset[str]) -> Iterator[RecordedImage]:
        types = get_typestore(Stores.ROS2_JAZZY)
        numbers: defaultdict[str, int] = defaultdict(int)
        # Times that a converter made up say nothing of when a message came.
        real = self.duration > len(self) * SHORTEST_GAP
        part, shown, first, last = self._part, 0, 0.0, 0.0
        messages = raw_messages(
            self.path,
            lambda one: one.topic in topics and one.msgtype in IMAGE_TYPES,
            part.received_from or None,
            None if part.received_to == WHOLE.received_to else part.received_to,
        )
        for connection, received, data in messages:
            topic = connection.topic
            numbers[topic] += 1
            try:
                message = types.deserialize_cdr(data, connection.msgtype)
                last = stamp_seconds(message)
            except StampError as error:
                raise RecordingError(
                    f"{self.path}, {topic}, message {numbers[topic]}: {error}"
                ) from error
            except Exception as error:
                raise damaged(self.path, error) from error
            first = first or last
            if part.holds(received, last):
                shown += 1
                yield RecordedImage(topic, last, message, received * 1e-9 if real else None)
        if part != WHOLE and not shown:
            raise RecordingError(_no_picture(self.path, part, first, last))


def picture_stamp(data: bytes) -> tuple[int, int]:
    """Returns s and ns of a serialised picture's stamp: the header is first in both types."""
    return struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)  # behind the encapsulation


def received_range(path: Path, part: BagPart) -> tuple[int | None, int | None]:
    """Returns from when on and before when a part was recorded, ns; None: from or to the end.

    Raises:
        RecordingError: the bag is damaged, or the part has no picture.
    """
    start, stop = part.received_from, part.received_to
    if part.start > WHOLE.start:
        messages = raw_messages(path, lambda one: one.msgtype in IMAGE_TYPES)
        held = []
        for _, received, data in messages:
            seconds, nanoseconds = picture_stamp(data)
            if part.holds(received, seconds + nanoseconds * 1e-9):
                held = [min(held[0] if held else received, received), received]
        if not held:
            raise RecordingError(_no_picture(path, part, 0.0, 0.0))
        start, stop = held[0], held[1] + 1
    return start or None, stop if stop < WHOLE.received_to else None


def _no_picture(path: Path, part: BagPart, first: float, last: float) -> str:
    if part.start == WHOLE.start:
        return f"{path} holds no picture between the events of its start and its end."
    return (
        f"{path} holds no picture with a stamp from {part.start:.3f} s to {part.end:.3f} s; its "
        f"pictures' stamps go from {first:.3f} s to {last:.3f} s."
    )
