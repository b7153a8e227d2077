"""Simulated episodes on disk: rosbag2 bags of compressed pictures, and what they show.

A folder of episodes has one bag for each, with an `episode.yaml` beside its data, and a table
`labels.csv` with the columns path, instruction, success, as the calibration of a threshold needs
them, and whatever else tells how the episode was made.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TextIO

import numpy as np
import yaml
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

EPOCH = 1_760_000_000.0
"""Seconds since 1970 of the first picture, so that stamps look like a camera's."""
LABELS = ("path", "instruction", "success", "kind", "seed")
"""Columns of labels.csv."""


class Picture(NamedTuple):
    """One compressed picture of one camera.

    Attributes:
        topic: it is published on.
        frame_id: the camera's frame.
        time: seconds from the start of the recording.
        jpeg: its bytes.
    """

    topic: str
    frame_id: str
    time: float
    jpeg: bytes


class Labelled(Protocol):
    """An acted episode, as far as it is told of."""

    @property
    def seed(self) -> int:
        """What makes it again."""

    @property
    def kind(self) -> str:
        """How it was meant to go."""

    @property
    def instruction(self) -> str:
        """The task in words."""

    @property
    def succeeded(self) -> bool:
        """What the environment says at the end."""


def write_bag(path: Path, pictures: Iterable[Picture], start: float = EPOCH) -> int:
    """Writes pictures as a rosbag2 mcap bag of `sensor_msgs/CompressedImage`.

    Args:
        path: folder of the bag; it must not exist.
        pictures: in the order of their times.
        start: stamp of time 0, seconds.

    Returns:
        Number of pictures.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    image = store.types["sensor_msgs/msg/CompressedImage"]
    header = store.types["std_msgs/msg/Header"]
    stamp = store.types["builtin_interfaces/msg/Time"]
    connections, count = {}, 0
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, frame_id, time, jpeg in pictures:
            if topic not in connections:
                connections[topic] = writer.add_connection(
                    topic, image.__msgtype__, typestore=store
                )
            nanoseconds = round((start + time) * 1e9)
            message = image(
                header(stamp(*divmod(nanoseconds, 10**9)), frame_id),
                "jpeg",
                np.frombuffer(jpeg, np.uint8),
            )
            data = store.serialize_cdr(message, image.__msgtype__)
            writer.write(connections[topic], nanoseconds, data)
            count += 1
    return count


def describe(folder: Path, episode: Labelled, **more: Any) -> None:
    """Writes `episode.yaml` into a bag's folder.

    Args:
        folder: of the bag.
        episode: what it shows.
        more: further lines.
    """
    told = {
        "instruction": episode.instruction,
        "outcome": "success" if episode.succeeded else "failure",
        "kind": episode.kind,
        "seed": episode.seed,
        **more,
    }
    (folder / "episode.yaml").write_text(yaml.safe_dump(told, sort_keys=False))


class LabelTable:
    """The rows of a labels.csv, each on disk as soon as it is added."""

    def __init__(self, file: TextIO) -> None:
        """Writes the first line."""
        self._file = file
        self._rows = csv.DictWriter(file, LABELS)
        self._rows.writeheader()

    def add(self, path: str, episode: Labelled) -> None:
        """Adds an episode's row.

        Args:
            path: of its bag, from the table's folder.
            episode: what it shows.
        """
        self._rows.writerow(_row(path, episode))
        self._file.flush()


@contextmanager
def label_table(folder: Path) -> Iterator[LabelTable]:
    """Opens the labels.csv of a folder, which is made; a former table is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "labels.csv", "w", newline="") as file:
        yield LabelTable(file)


def _row(path: str, episode: Labelled) -> Mapping[str, Any]:
    row = (path, episode.instruction, int(episode.succeeded), episode.kind, episode.seed)
    return dict(zip(LABELS, row, strict=True))
