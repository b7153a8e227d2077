"""One recorded attempt at a task, whatever it was recorded in, and a source of many."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from topreward_ros.video.recordings.bag_part import WHOLE, BagPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from topreward_ros.video.recordings.recording import Recording

LOWEST_GRADE, HIGHEST_GRADE = 1, 5
"""Of people's grades, as RoboReward has them."""


class SourceError(ValueError):
    """A source of episodes that cannot be used; the text says why and what is expected."""


@dataclass(frozen=True)
class Stage:
    """A part of a task, as an annotation of the recording names it.

    Attributes:
        name: in words.
        start: s since the episode's first frame.
        end: s since the episode's first frame; after `start`.
    """

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class DatasetRows:
    """Which rows of a LeRobot data set are the frames of an episode.

    Attributes:
        episode_index: of the data set.
        index: (N,) int64 row numbers in the whole data set.
        frame_index: (N,) int64 numbers within the episode.
        stamps: (N,) float64 s of camera time, as its recording has them.
    """

    episode_index: int
    index: NDArray[np.int64]
    frame_index: NDArray[np.int64]
    stamps: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class BagPlace:
    """Where an episode lies in a bag.

    Attributes:
        path: a rosbag2 directory, or a single `.mcap` or `.db3` file.
        part: of it.
    """

    path: Path
    part: BagPart = WHOLE


@dataclass(frozen=True)
class RecordedEpisode:
    """One attempt. Nothing of it is read before `open` is called.

    Attributes:
        name: unique within its source, and the same each time that the source is opened.
        tasks: the task in words; none, or several, where the source says so.
        open: opens its pictures.
        success: whether the task was done at the end; None: nobody said.
        grade: 1 (nothing done) to 5 (all done), by people; None: nobody said.
        stages: reads the parts of the task, in order of time; none where it is not annotated.
        rows: reads which rows of a data set its frames are; None: it is of no data set.
        place: the bag that its pictures are in; None: they are in none.
        episode_id: as the nodes named it when they ran it; empty: no node did.

    `open`, `stages` and `rows` raise RecordingError or SourceError where they cannot be read.
    """

    name: str
    tasks: tuple[str, ...]
    open: Callable[[], Recording]
    success: bool | None = None
    grade: int | None = None
    stages: Callable[[], tuple[Stage, ...]] = tuple
    rows: Callable[[], DatasetRows] | None = None
    place: BagPlace | None = None
    episode_id: str = ""

    @property
    def instruction(self) -> str:
        """The one task.

        Raises:
            SourceError: the source names none, or more than one.
        """
        named = [task for task in self.tasks if task.strip()]
        if len(named) == 1:
            return named[0]
        if not named:
            raise SourceError(
                f"{self.name} has no instruction; add one to its source, or give one for all with "
                "--instruction."
            )
        raise SourceError(
            f"{self.name} is of {len(named)} tasks ({', '.join(map(repr, named))}), and an episode "
            "is scored for one; cut it, or give the one that counts with --instruction."
        )


class EpisodeSource(ABC):
    """Recorded episodes in one place, which can be gone through as often as wanted.

    Attributes:
        path: the file or directory.
        kind: what it is, in two or three words for people.
        notes: sentences on what is doubtful about it, or left out of it.
    """

    kind: str
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        """Takes the place."""
        self.path = path

    @abstractmethod
    def __len__(self) -> int:
        """Number of episodes."""

    @abstractmethod
    def __iter__(self) -> Iterator[RecordedEpisode]:
        """Goes through the episodes, in an order that is always the same.

        Raises:
            SourceError: the source itself is damaged; what is wrong with one episode is said when
                that is opened.
        """
