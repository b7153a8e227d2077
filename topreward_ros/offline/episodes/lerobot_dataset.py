"""LeRobot data sets on disk as recorded episodes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from topreward_ros.offline.episodes.lerobot_index import Clip, IndexEntry, read_index
from topreward_ros.offline.episodes.lerobot_info import read_info
from topreward_ros.offline.episodes.parquet import read_parquet
from topreward_ros.offline.episodes.recorded_episode import (
    DatasetRows,
    EpisodeSource,
    RecordedEpisode,
    Stage,
)
from topreward_ros.video.recordings.picture_message import (
    FIRST_STAMP,
    CompressedImage,
    Image,
    file_message,
    picture_message,
)
from topreward_ros.video.recordings.recording import (
    ImageTopic,
    RecordedImage,
    Recording,
    RecordingError,
)
from topreward_ros.video.recordings.video_clip import clip_frames

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from topreward_ros.offline.episodes.lerobot_info import LeRobotInfo
    from topreward_ros.video.image import ImageMessage

SAME_PICTURE = 0.5
"""Frame periods by which the times of a picture and of its frame may differ."""


class LeRobotDataset(EpisodeSource):
    """A data set of version 2.1 or 3.0.

    Attributes:
        info: what it says of itself.
    """

    kind = "LeRobot data set"

    def __init__(self, path: Path) -> None:
        """Reads the index.

        Raises:
            SourceError: it cannot be read.
        """
        super().__init__(path)
        self.info = read_info(path)
        self._index = read_index(self.info)

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self._index)

    def __iter__(self) -> Iterator[RecordedEpisode]:
        """Goes through the episodes by their numbers."""
        for entry in self._index:
            rows = partial(read_rows, self.info, entry)
            yield RecordedEpisode(
                name=f"episode_{entry.episode_index:06d}",
                tasks=entry.tasks,
                open=partial(LeRobotRecording, self.info, entry),
                stages=partial(_stages, entry),
                rows=rows,
            )


def read_rows(info: LeRobotInfo, entry: IndexEntry) -> DatasetRows:
    """Reads which rows an episode's frames are, and their times.

    Raises:
        SourceError: the file is damaged.
        RecordingError: the episode has no frames, or not as many as the index says, or its times do
            not advance.
    """
    columns = ["index", "frame_index", "timestamp"]
    table = read_parquet(entry.data, columns, where=_of_episode(entry))
    index, frame_index, times = (table[name].to_numpy() for name in columns)
    if not len(index) and not entry.length:
        raise RecordingError(
            f"Episode {entry.episode_index} has no frame; it was probably stopped as it began."
        )
    if len(index) != entry.length:
        raise RecordingError(
            f"{entry.data} holds {len(index)} frames of episode {entry.episode_index}, and the "
            f"index says {entry.length}."
        )
    order = np.argsort(frame_index, kind="stable")
    # As they were meant: float32 of 0.1 s is 1.5e-9 s off, and more later on.
    times = np.round(times[order].astype(np.float64) * info.fps, 2) / info.fps
    if len(times) > 1 and not (np.diff(times) > 0).all():
        raise RecordingError(
            f"{entry.data}: the times of episode {entry.episode_index} do not advance."
        )
    return DatasetRows(
        entry.episode_index,
        index[order].astype(np.int64),
        frame_index[order].astype(np.int64),
        FIRST_STAMP + times,
    )


class LeRobotRecording(Recording):
    """One episode's pictures; its cameras are its topics."""

    def __init__(self, info: LeRobotInfo, entry: IndexEntry) -> None:
        """Reads the episode's rows.

        Raises:
            SourceError, RecordingError: see `read_rows`.
        """
        self._info, self._entry = info, entry
        self._rows = read_rows(info, entry)
        kinds = {"video": Image.__msgtype__, "image": CompressedImage.__msgtype__}
        topics = {
            camera: ImageTopic(kinds[kind], len(self._rows))
            for camera, kind in info.cameras.items()
        }
        super().__init__(info.root, topics, float(np.ptp(self._rows.stamps)))

    def _images(self, topics: frozenset[str]) -> Iterator[RecordedImage]:
        stamps = self._rows.stamps
        cameras = [camera for camera in self.topics if camera in topics]
        streams = [self._pictures(camera) for camera in cameras]
        for stamp, *messages in zip(stamps, *streams, strict=True):
            for camera, message in zip(cameras, messages, strict=True):
                yield RecordedImage(camera, float(stamp), message)

    def _pictures(self, camera: str) -> Iterator[ImageMessage]:
        clip = self._entry.clips.get(camera)
        if clip is None:
            return self._stored(camera)
        return self._decoded(clip)

    def _decoded(self, clip: Clip) -> Iterator[Image]:
        stamps = self._rows.stamps
        times = clip.start + (stamps - FIRST_STAMP)
        frames = clip_frames(clip.path, times.tolist(), SAME_PICTURE / self._info.fps)
        for frame, stamp in zip(frames, stamps, strict=True):
            yield picture_message(frame, float(stamp))

    def _stored(self, camera: str) -> Iterator[CompressedImage]:
        table = read_parquet(
            self._entry.data, ["frame_index", camera], where=_of_episode(self._entry)
        )
        pictures = table.sort_by("frame_index")[camera].to_pylist()
        for picture, stamp in zip(pictures, self._rows.stamps, strict=True):
            yield file_message(self._bytes(picture), float(stamp))

    def _bytes(self, picture: dict[str, Any]) -> bytes:
        if picture.get("bytes"):
            return picture["bytes"]
        path = self._info.root / str(picture.get("path"))
        try:
            return path.read_bytes()
        except OSError as error:
            raise RecordingError(f"The picture {path} cannot be read ({error}).") from error


def _of_episode(entry: IndexEntry) -> list[tuple[str, str, int]]:
    return [("episode_index", "=", entry.episode_index)]


def _stages(entry: IndexEntry) -> tuple[Stage, ...]:
    """Returns SARM's annotations, or else those of the language columns."""
    if entry.stages:
        return entry.stages
    optional = ["language_persistent"]
    table = read_parquet(entry.data, ["timestamp"], optional, _of_episode(entry))
    if optional[0] not in table.column_names:
        return ()
    said = {
        (float(item["timestamp"]), str(item["content"]))
        for row in table[optional[0]].to_pylist()
        for item in row or ()
        if item.get("style") == "subtask" and item.get("timestamp") is not None
    }
    starts = sorted(said)
    ends = [start for start, _ in starts[1:]] + [float(table["timestamp"][-1].as_py())]
    return tuple(Stage(name, start, end) for (start, name), end in zip(starts, ends, strict=True))
