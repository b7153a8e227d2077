"""A folder of bags, each of which is one episode or holds several."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from topreward_ros.offline.episodes.bag_episodes import bag_episodes, refusal, whole_bag
from topreward_ros.offline.episodes.recorded_episode import (
    BagPlace,
    EpisodeSource,
    RecordedEpisode,
)
from topreward_ros.video.recordings.bag_files import METADATA, is_bag_file
from topreward_ros.video.recordings.recording import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class BagFolder(EpisodeSource):
    """A folder whose folders are bags."""

    kind = "folder of bags"

    def __init__(self, path: Path, *, whole: bool = False) -> None:
        """Reads what each bag tells of episodes.

        Args:
            path: the folder.
            whole: whether each bag is one episode, whatever it tells.
        """
        super().__init__(path)
        self._episodes: list[RecordedEpisode] = []
        for bag in bags_in(path):
            self._episodes += self._of(bag, whole=whole)

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self._episodes)

    def __iter__(self) -> Iterator[RecordedEpisode]:
        """Goes through the bags by name, and through each in order of time."""
        return iter(self._episodes)

    def _of(self, bag: Path, *, whole: bool) -> list[RecordedEpisode]:
        try:
            told = None if whole else bag_episodes(bag)
        except RecordingError as error:
            return [RecordedEpisode(bag.name, (), refusal(str(error)), place=BagPlace(bag))]
        if told is None:
            return [whole_bag(bag, bag.name)]
        self.notes += told.notes
        return [replace(each, name=f"{bag.name}/{each.name}") for each in told]


def bags_in(folder: Path) -> list[Path]:
    """Returns the folders directly in a folder that are bags, by name."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and is_bag(path))


def is_bag(path: Path) -> bool:
    """Says whether a path looks like a bag, damaged or not."""
    if path.is_file():
        return is_bag_file(path)
    return (path / METADATA).exists() or any(map(is_bag_file, path.iterdir()))
