"""A copy of a bag with its readings in it, each beside the picture that it is of.

All of the original's messages are copied: whoever makes a data set of a bag, as rosetta's port
does, takes pictures, joints and reward from one bag, and the task from its metadata. A reading has
the stamp of its picture, and is recorded with it, so that it is in place by either time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rosbags.interfaces import QosDurability
from rosbags.rosbag2.errors import WriterError

from topreward_ros.offline.episodes.bag_episodes import PROMPT
from topreward_ros.offline.episodes.recorded_episode import SourceError
from topreward_ros.offline.labelling.bag_copy import announce_copies, open_copy
from topreward_ros.offline.message_types import EVENT_TYPE, READING_TYPE, message_types
from topreward_ros.video.recordings.bag import IMAGE_TYPES, picture_stamp, received_range
from topreward_ros.video.recordings.bag_messages import raw_messages, read_index
from topreward_ros.video.recordings.recording import RecordingError, one_line
from topreward_ros.video.selection import STAMP_TOLERANCE

if TYPE_CHECKING:
    from pathlib import Path

    from rosbags.interfaces import Connection
    from rosbags.rosbag2 import Writer

    from topreward_ros.episode import Reading
    from topreward_ros.offline.labelling.episode_labels import EpisodeLabels
    from topreward_ros.video.recordings.bag_part import BagPart

MARK = "topreward.labelled_by"
"""Under which a copy's metadata name the model."""
REWARD_TYPE = "std_msgs/msg/Float64"


@dataclass(frozen=True)
class BagTopics:
    """What is added to a bag.

    Attributes:
        reading: topic of the readings, `topreward_msgs/RewardStamped`.
        reward: topic of their rewards alone, `std_msgs/Float64`, for readers without that type.
        cameras: image topics that were scored; None: all.
        model: as its scorer is called.
    """

    reading: str
    reward: str
    cameras: tuple[str, ...] | None
    model: str


@dataclass
class BagLabels:
    """An episode's labels, and where in the bag they belong.

    Attributes:
        labels: of the episode.
        part: of the bag.
        episode_id: as the readings have it.
    """

    labels: EpisodeLabels
    part: BagPart
    episode_id: str
    _placed: int = field(default=0, init=False)

    @property
    def missing(self) -> int:
        """Readings that have no place yet."""
        return len(self.labels.readings) - self._placed

    def take(self, received: int, stamp: float) -> tuple[Reading, str] | None:
        """Returns the reading of a picture, and its frame_id; None where it has none.

        Args:
            received: ns of the recorder's clock.
            stamp: s, the picture's.
        """
        if not self.missing or not self.part.holds(received, stamp):
            return None
        reading = self.labels.readings[self._placed]
        if abs(reading.stamp - stamp) >= STAMP_TOLERANCE:
            return None
        self._placed += 1
        return reading, self.labels.frame_ids[self._placed - 1]


def write_labelled_bag(
    source: Path,
    episodes: Sequence[BagLabels],
    target: Path,
    topics: BagTopics,
    cut: bool = False,
) -> None:
    """Writes the copy, an mcap bag whose chunks are compressed.

    Args:
        source: the original, which is only read.
        episodes: its labels; used up by this.
        target: directory that is not there yet. What fails leaves a part of it.
        topics: what is added.
        cut: whether it is of the one episode alone. What was kept for late subscribers before it
            is then recorded at its start, as a recorder would have begun with.

    Raises:
        RecordingError: the original is damaged, lacks the definition of a type, has one of the
            topics already, or has no picture of a reading.
        OSError: it cannot be written.
    """
    index = read_index(source)
    writer = open_copy(target, _notes(index.custom, episodes, topics.model, cut=cut))
    start, stop = received_range(source, episodes[0].part) if cut else (None, None)
    try:
        with writer:
            copies = announce_copies(writer, source, index.connections)
            for connection, _, data in raw_messages(source, _kept, None, start) if start else ():
                writer.write(copies[connection.id], start, data)
            messages = raw_messages(source, lambda _: True, start, stop)
            _write(writer, messages, copies, episodes, topics)
    except WriterError as error:
        raise RecordingError(f"{source} cannot be copied: {one_line(error)}.") from error
    if missing := sum(one.missing for one in episodes):
        raise RecordingError(
            f"{source}: {missing} readings find no picture with their stamps, so it has changed "
            "since it was scored; label it anew."
        )


def _notes(
    noted: dict[str, str], episodes: Sequence[BagLabels], model: str, *, cut: bool
) -> dict[str, str]:
    """Returns what a copy's metadata note; of one episode its task too, as rosetta reads it."""
    notes = {**noted, MARK: model}
    if cut or (len(episodes) == 1 and PROMPT not in noted):
        notes[PROMPT] = episodes[0].labels.instruction
    return notes


def _kept(connection: Connection) -> bool:
    """Whether a topic's messages are kept for late subscribers; past events are not meant."""
    qualities = connection.ext.offered_qos_profiles
    latched = any(one.durability is QosDurability.TRANSIENT_LOCAL for one in qualities)
    return latched and connection.msgtype != EVENT_TYPE


def check_topics(source: Path, topics: BagTopics) -> None:
    """Refuses a bag that has one of the topics, so that live and later readings are not mixed.

    Raises:
        SourceError: it has.
    """
    try:
        connections = read_index(source).connections
    except RecordingError:
        return  # said of its episodes, when they are opened
    for connection in connections:
        if connection.topic in (topics.reading, topics.reward) and connection.msgcount:
            option = "--reward-topic"
            if connection.topic == topics.reading:
                option = "--reading-topic, or take the readings that are there with --recorded"
            raise SourceError(
                f"{source} has messages on {connection.topic} already ({connection.msgtype}), and "
                f"labels are not mixed with them; name another topic with {option}."
            )


def _write(
    writer: Writer,
    messages: Iterable[tuple[Connection, int, bytes]],
    copies: dict[int, Connection],
    episodes: Sequence[BagLabels],
    topics: BagTopics,
) -> None:
    types = message_types()
    readings = writer.add_connection(topics.reading, READING_TYPE, typestore=types)
    rewards = writer.add_connection(topics.reward, REWARD_TYPE, typestore=types)
    for connection, received, data in messages:
        writer.write(copies[connection.id], received, data)
        if connection.msgtype not in IMAGE_TYPES:
            continue
        if topics.cameras and connection.topic not in topics.cameras:
            continue
        for message in _messages(episodes, received, data, topics.model):
            reward = types.types[REWARD_TYPE](data=message.reward)
            writer.write(readings, received, types.serialize_cdr(message, READING_TYPE))
            writer.write(rewards, received, types.serialize_cdr(reward, REWARD_TYPE))


def _messages(
    episodes: Sequence[BagLabels], received: int, data: bytes, model: str
) -> Iterator[Any]:
    """Yields the readings of a picture: one for each episode that it is the newest frame of."""
    seconds, nanoseconds = picture_stamp(data)
    for episode in episodes:
        found = episode.take(received, seconds + nanoseconds * 1e-9)
        if found is not None:
            yield _message(*found, (seconds, nanoseconds), episode.episode_id, model)


def _message(
    reading: Reading, frame_id: str, stamp: tuple[int, int], episode_id: str, model: str
) -> Any:
    types = message_types().types
    threshold = reading.success_threshold
    time = types["builtin_interfaces/msg/Time"](*stamp)
    return types[READING_TYPE](
        header=types["std_msgs/msg/Header"](stamp=time, frame_id=frame_id),
        episode_id=episode_id,
        instruction=reading.instruction,
        index=reading.index,
        frames=reading.frames,
        episode_time=reading.episode_time,
        log_prob=reading.log_prob,
        censored=reading.censored,
        progress=reading.progress,
        progress_source=reading.progress_source,
        reward=reading.reward,
        reward_form=reading.reward_form,
        success_score=reading.success_score,
        success_threshold=math.nan if threshold is None else threshold,
        success=reading.success,
        success_holds=reading.success_holds,
        latency=0.0,  # it is recorded with its picture
        model_time=0.0,
        pending_frames=0,
        model=model,
        stage=reading.stage,
        stage_progress=reading.stage_progress,
    )
