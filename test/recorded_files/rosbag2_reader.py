"""What rosetta's port needs of rosbag2_py, read by rosbags, for machines whose ROS lacks it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

from rosbags.rosbag2 import Reader


@dataclass
class StorageOptions:
    """Which bag."""

    uri: str
    storage_id: str = "mcap"


@dataclass
class ConverterOptions:
    """How messages are serialised, which stays as it is."""

    input_serialization_format: str = ""
    output_serialization_format: str = ""


class SequentialReader:
    """Goes through a bag's messages in the order of their recording."""

    def open(self, storage: StorageOptions, _: ConverterOptions) -> None:
        """Opens it."""
        self._reader = Reader(Path(storage.uri))
        self._reader.open()
        self._messages = self._reader.messages()
        self._next = next(self._messages, None)

    def get_all_topics_and_types(self) -> list[SimpleNamespace]:
        """Its topics."""
        found = self._reader.connections
        return [SimpleNamespace(name=one.topic, type=one.msgtype) for one in found]

    def get_metadata(self) -> SimpleNamespace:
        """Its first instant, and how long it lasts."""
        start, end = self._reader.start_time, self._reader.end_time - 1  # rosbags' end is behind it
        return SimpleNamespace(
            starting_time=SimpleNamespace(nanoseconds=start),
            duration=SimpleNamespace(nanoseconds=end - start),
        )

    def has_next(self) -> bool:
        """Whether another message comes."""
        return self._next is not None

    def read_next(self) -> tuple[str, bytes, int]:
        """Returns its topic, bytes and ns of recording."""
        connection, received, data = self._next
        self._next = next(self._messages, None)
        return connection.topic, bytes(data), received

    def close(self) -> None:
        """Closes the bag."""
        self._reader.close()


def stand_in() -> None:
    """Takes the place of rosbag2_py where there is none."""
    if "rosbag2_py" not in sys.modules and not find_spec("rosbag2_py"):
        sys.modules["rosbag2_py"] = sys.modules[__name__]
