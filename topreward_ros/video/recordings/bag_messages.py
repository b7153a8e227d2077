"""What a rosbag2 holds, message by message and still serialised, read by the rosbags library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rosbags.rosbag2 import Reader

from topreward_ros.video.recordings.bag_files import storage
from topreward_ros.video.recordings.recording import RecordingError, one_line
from topreward_ros.video.recordings.unfolding import TooLarge, unfold_message

if TYPE_CHECKING:
    from pathlib import Path

    from rosbags.interfaces import Connection


@dataclass(frozen=True)
class BagIndex:
    """What a bag says of itself.

    Attributes:
        connections: its topics, each with type, definition, quality of service and count.
        duration: s between its first and last message, by the recorder's clock.
        custom: what the recorder noted in metadata.yaml, by name.
    """

    connections: tuple[Connection, ...]
    duration: float
    custom: dict[str, str]


def read_index(path: Path) -> BagIndex:
    """Reads what a bag says of itself.

    Raises:
        RecordingError: it is damaged, or no bag.
    """
    with _opened(path) as reader:
        custom = getattr(reader.storage.metadata, "custom", None)
        noted = custom if isinstance(custom, dict) else {}
        return BagIndex(
            tuple(reader.connections),
            reader.duration * 1e-9,
            {str(name): value for name, value in noted.items() if isinstance(value, str)},
        )


def raw_messages(
    path: Path,
    wanted: Callable[[Connection], bool],
    start: int | None = None,
    stop: int | None = None,
) -> Iterator[tuple[Connection, int, bytes]]:
    """Goes through messages in the order in which they were recorded.

    Args:
        path: a rosbag2 directory, or a single `.mcap` or `.db3` file.
        wanted: says of a topic whether its messages are.
        start: ns of the recorder's clock, from which on; None: from the first.
        stop: ns of the recorder's clock, before which; None: to the last.

    Yields:
        The topic, ns of the recorder's clock, and the serialised message.

    Raises:
        RecordingError: the bag is damaged.
    """
    with _opened(path) as reader:
        if reader.compression_mode == "message":  # unfolded here, with a bound
            plain = reader.storage.metadata._replace(compression_mode=None)
            reader.storage.metadata = plain
        # Of no topic the reader would give all.
        if connections := [one for one in reader.connections if wanted(one)]:
            for connection, received, data in reader.messages(connections, start, stop):
                yield connection, received, unfold_message(data)


def damaged(path: Path, error: Exception) -> RecordingError:
    """Returns what is said of a bag whose bytes are not what they should be."""
    if isinstance(error, TooLarge):
        return RecordingError(f"{path} is not read: {one_line(error)}; no camera sends that.")
    return RecordingError(
        f"{path} cannot be read as a rosbag2; it is damaged or was not closed (`ros2 bag reindex` "
        f"may help), and the reader says: {one_line(error)}."
    )


@contextmanager
def _opened(path: Path) -> Iterator[Reader]:
    place = storage(path)
    try:
        with Reader(place) as reader:
            yield reader
    except RecordingError:
        raise
    except Exception as error:  # damaged bytes fail anywhere in the reader
        raise damaged(path, error) from error
