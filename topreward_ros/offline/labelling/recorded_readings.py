"""Readings that were recorded live, moved to their pictures in a copy of the bag.

A reading that is published live is recorded when it is there: after its picture, by its latency.
Whoever goes through a bag in the order of recording, as rosetta's port does, meets it only then,
whatever its stamp says. In the copy it stands beside the picture whose stamp it has.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rosbags.rosbag2.errors import WriterError

from topreward_ros.offline.episodes.bag_episodes import PROMPT
from topreward_ros.offline.episodes.recorded_episode import SourceError
from topreward_ros.offline.labelling.bag_copy import announce_copies, open_copy
from topreward_ros.offline.labelling.labelled_bag import MARK, REWARD_TYPE, BagTopics
from topreward_ros.offline.message_types import READING_TYPE, message_types
from topreward_ros.video.recordings.bag import IMAGE_TYPES, picture_stamp
from topreward_ros.video.recordings.bag_messages import BagIndex, raw_messages, read_index
from topreward_ros.video.recordings.recording import RecordingError, one_line

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from rosbags.interfaces import Connection


@dataclass(frozen=True)
class Moved:
    """What was done with a bag's readings.

    Attributes:
        readings: how many have their place beside their picture.
        left_out: how many have none, as their picture was not recorded.
    """

    readings: int
    left_out: int


class _Recorded:
    """A bag's readings by the stamps of their pictures, in the order of recording."""

    def __init__(self, source: Path, topic: str) -> None:
        self.instructions: set[str] = set()
        self.models: set[str] = set()
        self.left = 0
        self._by_stamp: dict[int, list[tuple[bytes, Any]]] = defaultdict(list)
        types = message_types()
        for _, _, data in raw_messages(source, lambda one: _is_reading(one, topic)):
            reading = types.deserialize_cdr(data, READING_TYPE)
            self._by_stamp[_microseconds(data)].append((data, reading))
            self.instructions.add(reading.instruction)
            self.models.add(reading.model)
            self.left += 1

    def take(self, picture: bytes) -> list[tuple[bytes, Any]]:
        """Returns the readings of a picture that none has taken, serialised and as they are."""
        stamp = _microseconds(picture)
        found: list[tuple[bytes, Any]] = []
        for near in (stamp - 1, stamp, stamp + 1):  # stamps of merged frames are rounded
            found += self._by_stamp.pop(near, [])
        self.left -= len(found)
        return found


def move_readings(source: Path, target: Path, topics: BagTopics) -> Moved:
    """Writes the copy, with each reading and its reward beside its picture.

    Args:
        source: the original, which is only read.
        target: directory that is not there yet. What fails leaves a part of it.
        topics: where readings and rewards are, and which cameras count.

    Raises:
        SourceError: the bag has no readings there, or something else.
        RecordingError: it is damaged, or has the picture of none.
        OSError: it cannot be written.
    """
    index = read_index(source)
    _check(source, index, topics)
    recorded = _Recorded(source, topics.reading)
    total = recorded.left
    writer = open_copy(target, _notes(index, recorded))
    try:
        with writer:
            _write(writer, source, index, recorded, topics)
    except WriterError as error:
        raise RecordingError(f"{source} cannot be copied: {one_line(error)}.") from error
    if recorded.left == total:
        raise RecordingError(
            f"{source}: none of its {total} readings has the stamp of a picture in it; record the "
            "cameras that reward_node watches beside its readings."
        )
    return Moved(total - recorded.left, recorded.left)


def _check(source: Path, index: BagIndex, topics: BagTopics) -> None:
    kinds, version = defaultdict(set), message_types().hash_rihs01(READING_TYPE)
    for one in index.connections:
        if not one.msgcount:
            continue
        kinds[one.topic].add(one.msgtype)
        if _is_reading(one, topics.reading) and one.digest not in ("", version):
            raise SourceError(
                f"{source} was recorded with another version of {READING_TYPE}; move its readings "
                "with that version."
            )
    for topic, wanted, option in (
        (topics.reading, READING_TYPE, "--reading-topic"),
        (topics.reward, REWARD_TYPE, "--reward-topic"),
    ):
        if others := kinds[topic] - {wanted}:
            raise SourceError(
                f"{topic} in {source} is {', '.join(sorted(others))}; expected {wanted}, or "
                f"another topic with {option}."
            )
    if not kinds[topics.reading]:
        places = sorted(topic for topic, found in kinds.items() if READING_TYPE in found)
        raise SourceError(
            f"{source} has no readings on {topics.reading}; "
            + (
                f"it has some on {', '.join(places)}: name it with --reading-topic."
                if places
                else "without --recorded, they are computed."
            )
        )


def _notes(index: BagIndex, recorded: _Recorded) -> dict[str, str]:
    """Returns the copy's notes; the task of all readings too, as rosetta reads it."""
    notes = {**index.custom, MARK: ", ".join(sorted(recorded.models))}
    if PROMPT not in notes and len(recorded.instructions) == 1:
        notes[PROMPT] = next(iter(recorded.instructions))
    return notes


def _write(
    writer: Any, source: Path, index: BagIndex, recorded: _Recorded, topics: BagTopics
) -> None:
    moved = {topics.reading, topics.reward}
    kept = [one for one in index.connections if one.topic not in moved]
    copies = announce_copies(writer, source, kept)
    types = message_types()
    readings = writer.add_connection(topics.reading, READING_TYPE, typestore=types)
    rewards = writer.add_connection(topics.reward, REWARD_TYPE, typestore=types)
    for connection, received, data in raw_messages(source, lambda one: one.topic not in moved):
        writer.write(copies[connection.id], received, data)
        if connection.msgtype not in IMAGE_TYPES:
            continue
        if topics.cameras and connection.topic not in topics.cameras:
            continue
        for raw, reading in recorded.take(data):
            reward = types.types[REWARD_TYPE](data=reading.reward)
            writer.write(readings, received, raw)
            writer.write(rewards, received, types.serialize_cdr(reward, REWARD_TYPE))


def _is_reading(connection: Connection, topic: str) -> bool:
    return connection.topic == topic and connection.msgtype == READING_TYPE


def _microseconds(data: bytes) -> int:
    """Returns a message's stamp; its header is the first field in readings as in pictures."""
    seconds, nanoseconds = picture_stamp(data)
    return seconds * 1_000_000 + round(nanoseconds / 1000)
