"""Image messages of a rosbag2, from mcap or sqlite3, read by the rosbags library."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from topreward_ros.video.bag_files import storage
from topreward_ros.video.image import StampError, stamp_seconds
from topreward_ros.video.recording import (
    ImageTopic,
    RecordedImage,
    Recording,
    RecordingError,
    one_line,
)
from topreward_ros.video.unfolding import TooLarge, unfold_message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHORTEST_GAP = 1e-4
"""s between two messages of a bag on average; no recorder is faster."""
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


class Bag(Recording):
    """A bag on disk.

    Image types are the same in all distributions, so the definitions within the bag are not needed.
    """

    def __init__(self, path: Path) -> None:
        """Reads the bag's index.

        Raises:
            RecordingError: it is damaged, or holds no images.
        """
        place = storage(path)
        try:
            with Reader(place) as reader:
                found = {(c.topic, c.msgtype): 0 for c in reader.connections}
                for connection in reader.connections:
                    found[connection.topic, connection.msgtype] += connection.msgcount
                duration = reader.duration * 1e-9
        except Exception as error:  # damaged bytes fail anywhere in the reader
            raise _damaged(path, error) from error
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
        super().__init__(path, topics, duration)
        self._storage = place

    def _images(self, topics: frozenset[str]) -> Iterator[RecordedImage]:
        types = get_typestore(Stores.ROS2_JAZZY)
        numbers: defaultdict[str, int] = defaultdict(int)
        # Times that a converter made up say nothing of when a message came.
        real = self.duration > len(self) * SHORTEST_GAP
        for topic, kind, data, received in self._raw(topics):
            numbers[topic] += 1
            try:
                message = types.deserialize_cdr(data, kind)
                stamp = stamp_seconds(message)
            except StampError as error:
                raise RecordingError(
                    f"{self.path}, {topic}, message {numbers[topic]}: {error}"
                ) from error
            except Exception as error:
                raise _damaged(self.path, error) from error
            yield RecordedImage(topic, stamp, message, received if real else None)

    def _raw(self, topics: frozenset[str]) -> Iterator[tuple[str, str, bytes, float]]:
        """Yields topic, type, serialised message, and s of its recording."""
        try:
            with Reader(self._storage) as reader:
                if reader.compression_mode == "message":  # unfolded here, with a bound
                    plain = reader.storage.metadata._replace(compression_mode=None)
                    reader.storage.metadata = plain
                connections = [
                    c for c in reader.connections if c.topic in topics and c.msgtype in IMAGE_TYPES
                ]
                for connection, received, data in reader.messages(connections=connections):
                    plain_data = unfold_message(data)
                    yield connection.topic, connection.msgtype, plain_data, received * 1e-9
        except Exception as error:
            raise _damaged(self.path, error) from error


def _damaged(path: Path, error: Exception) -> RecordingError:
    if isinstance(error, TooLarge):
        return RecordingError(f"{path} is not read: {one_line(error)}; no camera sends that.")
    return RecordingError(
        f"{path} cannot be read as a rosbag2; it is damaged or was not closed (`ros2 bag reindex` "
        f"may help), and the reader says: {one_line(error)}."
    )
