"""Recorded episodes: a rosbag2 or a video file as a series of image messages.

Nothing stays open between iterations, messages are read one by one, and a recording can be gone
through as often as wanted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from topreward_ros.video.image import ImageMessage

BAG_SUFFIXES = (".mcap", ".db3")


class RecordingError(ValueError):
    """A recording that cannot be read; the text says why and what is expected."""


@dataclass(frozen=True)
class ImageTopic:
    """A topic of a recording.

    Attributes:
        type: `sensor_msgs/msg/Image` or `sensor_msgs/msg/CompressedImage`.
        count: messages.
    """

    type: str
    count: int


class RecordedImage(NamedTuple):
    """One message of a recording.

    Attributes:
        topic: its name.
        stamp: the camera's time, `header.stamp`, in seconds.
        message: fields of the topic's type; `data` is a uint8 array.
        received: seconds, when it was recorded, by the recorder's clock; None: not known.
    """

    topic: str
    stamp: float
    message: ImageMessage
    received: float | None = None


class Recording(ABC):
    """The image messages of a recording, in the order in which they were recorded.

    Attributes:
        path: the file or directory.
        topics: image topics by name.
        duration: seconds from the first to the last message.
    """

    def __init__(self, path: Path, topics: dict[str, ImageTopic], duration: float) -> None:
        """Takes what is known without reading messages."""
        self.path = path
        self.topics = topics
        self.duration = duration

    def __len__(self) -> int:
        """Number of image messages."""
        return sum(topic.count for topic in self.topics.values())

    def __iter__(self) -> Iterator[RecordedImage]:
        """Goes through all image topics; see `images`."""
        return self.images(self.topics)

    def images(self, topics: Collection[str]) -> Iterator[RecordedImage]:
        """Goes through the messages of some topics.

        Raises:
            RecordingError: no such topic; while iterating: damaged data, or a message without a
                time stamp.
        """
        for topic in topics:
            if topic not in self.topics:
                raise RecordingError(
                    f"{self.path} has no image topic {topic!r}; expected one of "
                    f"{', '.join(self.topics)}."
                )
        return self._images(frozenset(topics))

    @abstractmethod
    def _images(self, topics: frozenset[str]) -> Iterator[RecordedImage]:
        """Goes through the messages of topics that exist."""


def one_line(error: Exception) -> str:
    """Returns an exception's text as the end of a sentence, without line breaks."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
