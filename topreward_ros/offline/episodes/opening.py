"""Finds out what kind of source a path is, and opens it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from topreward_ros.offline.episodes.bag_episodes import bag_episodes, whole_bag
from topreward_ros.offline.episodes.bag_folder import BagFolder, bags_in, is_bag
from topreward_ros.offline.episodes.labelled_folder import LabelledFolder
from topreward_ros.offline.episodes.lerobot_dataset import LeRobotDataset
from topreward_ros.offline.episodes.recorded_episode import (
    EpisodeSource,
    RecordedEpisode,
    SourceError,
)
from topreward_ros.offline.episodes.roboreward import METADATA_FILE, RoboReward
from topreward_ros.offline.labelled_recordings import LABELS_FILE
from topreward_ros.video.recordings.opening import open_recording

if TYPE_CHECKING:
    from collections.abc import Iterator


class SingleRecording(EpisodeSource):
    """One bag or video file, which is one episode."""

    kind = "recording"

    def __init__(self, path: Path, fps: float | None = None) -> None:
        """Takes a recording.

        Args:
            path: a rosbag2 directory, a single `.mcap` or `.db3` file, or a video file.
            fps: frames per second of a video file, instead of what it states.
        """
        super().__init__(path)
        self._fps = fps

    def __len__(self) -> int:
        """One."""
        return 1

    def __iter__(self) -> Iterator[RecordedEpisode]:
        """Goes through the one."""
        if self._fps is None and self.path.exists() and is_bag(self.path):
            yield whole_bag(self.path, self.path.name)
            return
        yield RecordedEpisode(self.path.name, (), partial(open_recording, self.path, self._fps))


def open_source(
    path: Path | str, fps: float | None = None, *, whole: bool = False
) -> EpisodeSource:
    """Opens a source of recorded episodes.

    Args:
        path: a LeRobot data set (a directory with meta/info.json), a folder with a labels.csv or a
            RoboReward metadata.jsonl, one of these two files, a folder of bags, or one recording.
        fps: frames per second of video files, instead of what they state.
        whole: whether a bag is one episode, whatever episodes its events tell of.

    Raises:
        SourceError, LabelsError, RecordingError: it is not there, or damaged.
    """
    path = Path(path).expanduser()
    if (path / "meta" / "info.json").exists():
        if fps is not None:
            raise SourceError(
                f"{path} is a LeRobot data set, which states its own rate; a frame rate (fps) is "
                "for video files."
            )
        return LeRobotDataset(path)
    if path.name == METADATA_FILE or (path / METADATA_FILE).exists():
        return RoboReward(path, fps)
    if path.suffix == ".csv" or (path / LABELS_FILE).exists():
        return LabelledFolder(path, fps)
    if not path.exists():
        raise SourceError(
            f"{path} does not exist; expected a LeRobot data set, a folder with {LABELS_FILE} or "
            f"{METADATA_FILE}, a rosbag2 directory, a folder of them, or a video file."
        )
    if path.is_dir() and not is_bag(path) and bags_in(path):
        return BagFolder(path, whole=whole)
    told = bag_episodes(path) if is_bag(path) and not whole else None
    return told or SingleRecording(path, fps)
