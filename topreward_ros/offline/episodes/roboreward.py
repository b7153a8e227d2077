"""RoboReward's form: a `metadata.jsonl` that names videos, tasks and people's grades.

A line has `file_name` (relative to it), `task`, and `reward`, 1 to 5 (data set teetone/RoboReward).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topreward_ros.offline.episodes.json_lines import read_json_lines
from topreward_ros.offline.episodes.recorded_episode import (
    HIGHEST_GRADE,
    LOWEST_GRADE,
    EpisodeSource,
    RecordedEpisode,
    SourceError,
)
from topreward_ros.video.recordings.opening import open_recording

if TYPE_CHECKING:
    from collections.abc import Iterator

METADATA_FILE = "metadata.jsonl"


class RoboReward(EpisodeSource):
    """A folder with a metadata.jsonl, or that file. Not all of its videos need to be there."""

    kind = "RoboReward set"

    def __init__(self, path: Path, fps: float | None = None) -> None:
        """Reads the lines.

        Args:
            path: the folder or the file.
            fps: frames per second of the videos, instead of what they state.

        Raises:
            SourceError: the file cannot be read, a line lacks a field, or names a video twice for
                one task.
        """
        super().__init__(path)
        self._file = path / METADATA_FILE if path.is_dir() else path
        self._fps = fps
        self._episodes = [
            self._episode(row, f"{self._file}, line {number}")
            for number, row in read_json_lines(self._file)
        ]
        if not self._episodes:
            raise SourceError(f"{self._file} names no video; expected one line for each.")
        names = [episode.name for episode in self._episodes]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise SourceError(f"{self._file} names {twice} twice; every video counts once.")

    def __len__(self) -> int:
        """Number of videos."""
        return len(self._episodes)

    def __iter__(self) -> Iterator[RecordedEpisode]:
        """Goes through the videos in the order of the file."""
        return iter(self._episodes)

    def _episode(self, row: dict[str, Any], where: str) -> RecordedEpisode:
        name, task, grade = row.get("file_name"), row.get("task"), row.get("reward")
        if not isinstance(name, str) or not isinstance(task, str):
            raise SourceError(f"{where}: expected file_name and task, each a text.")
        if grade is not None and (
            isinstance(grade, bool)
            or not isinstance(grade, int | float)
            or grade not in range(LOWEST_GRADE, HIGHEST_GRADE + 1)
        ):
            raise SourceError(
                f"{where}: reward is {grade!r}; expected a whole number from {LOWEST_GRADE} to "
                f"{HIGHEST_GRADE}."
            )
        path = self._file.parent / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise SourceError(f"{where}: {name} lies outside of the folder.")
        return RecordedEpisode(
            name=name,
            tasks=(task,),
            open=partial(open_recording, path, self._fps),
            success=None if grade is None else grade == HIGHEST_GRADE,
            grade=None if grade is None else int(grade),
        )
