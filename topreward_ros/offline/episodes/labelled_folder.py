"""Recordings that a labels.csv names as recorded episodes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from topreward_ros.offline.episodes.bag_folder import is_bag
from topreward_ros.offline.episodes.recorded_episode import (
    BagPlace,
    EpisodeSource,
    RecordedEpisode,
)
from topreward_ros.offline.labelled_recordings import LabelledRecording, read_labels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class LabelledFolder(EpisodeSource):
    """A folder with a labels.csv, or that file."""

    kind = "folder with labels.csv"

    def __init__(self, path: Path, fps: float | None = None) -> None:
        """Reads the labels.

        Args:
            path: the folder or the file.
            fps: frames per second of video files, instead of what they state.

        Raises:
            LabelsError: they cannot be used.
        """
        super().__init__(path)
        self._labelled = read_labels(path)
        self._folder = path if path.is_dir() else path.parent
        self._fps = fps

    def __len__(self) -> int:
        """Number of recordings."""
        return len(self._labelled)

    def __iter__(self) -> Iterator[RecordedEpisode]:
        """Goes through the recordings in the order of the file."""
        # A recording may be labelled for several tasks, or part by part.
        numbers: dict[str, int] = {}
        for one in self._labelled:
            name = self._name(one)
            numbers[name] = numbers.get(name, 0) + 1
            yield RecordedEpisode(
                name=name if numbers[name] == 1 else f"{name}#{numbers[name]}",
                tasks=(one.instruction,),
                open=partial(one.open, self._fps),
                success=one.success,
                place=BagPlace(one.path, one.part) if is_bag(one.path) else None,
            )

    def _name(self, one: LabelledRecording) -> str:
        inside = one.path.is_relative_to(self._folder)
        return str(one.path.relative_to(self._folder) if inside else one.path)
