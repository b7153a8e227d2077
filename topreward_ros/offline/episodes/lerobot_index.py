"""Which episodes a LeRobot data set holds, and where each of them lies: versions 2.1 and 3.0.

Read by pyarrow and not by the `lerobot` package, which would bring its own torch, its simulators'
pins and a robot stack for a few columns. The forms are those of lerobot 0.3.3 (2.1) and 0.4.4 to
0.6.2 (3.0), `src/lerobot/datasets/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from topreward_ros.offline.episodes.json_lines import read_json_lines
from topreward_ros.offline.episodes.parquet import read_parquet
from topreward_ros.offline.episodes.recorded_episode import SourceError, Stage

if TYPE_CHECKING:
    from pathlib import Path

    from topreward_ros.offline.episodes.lerobot_info import LeRobotInfo

_ANNOTATIONS = ("sparse", "dense")
"""SARM's sub-task annotations, the one that is preferred first."""


@dataclass(frozen=True)
class Clip:
    """Where an episode's pictures of one camera are.

    Attributes:
        path: the video file.
        start: s of the file's time at which the episode starts.
    """

    path: Path
    start: float


@dataclass(frozen=True)
class IndexEntry:
    """One episode.

    Attributes:
        episode_index: its number.
        tasks: what was to be done, each text once.
        length: frames.
        data: the parquet file that holds its frames.
        clips: by camera; cameras whose pictures are in the parquet file have none.
        stages: SARM's annotations, if there are any.
    """

    episode_index: int
    tasks: tuple[str, ...]
    length: int
    data: Path
    clips: dict[str, Clip]
    stages: tuple[Stage, ...] = ()


def read_index(info: LeRobotInfo) -> list[IndexEntry]:
    """Reads the index of a data set, by number of episode.

    Raises:
        SourceError: a file of it is missing or damaged, or two episodes have one number.
    """
    read = _read_v30 if info.version == "v3.0" else _read_v21
    entries = sorted(read(info), key=lambda entry: entry.episode_index)
    for one, other in pairwise(entries):
        if one.episode_index == other.episode_index:
            raise SourceError(f"{info.root} has two episodes {one.episode_index}.")
    if not entries:
        raise SourceError(f"{info.root} holds no episode.")
    return entries


def _read_v21(info: LeRobotInfo) -> Iterator[IndexEntry]:
    path = info.root / "meta" / "episodes.jsonl"
    for number, row in read_json_lines(path):
        try:
            index, length = int(row["episode_index"]), int(row["length"])
            tasks = tuple(dict.fromkeys(str(task) for task in row["tasks"]))
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(
                f"{path}, line {number}, is no episode ({type(error).__name__}: {error})."
            ) from error
        place = {"episode_chunk": index // info.chunk_size, "episode_index": index}
        yield IndexEntry(
            index,
            tasks,
            length,
            info.file(info.data_path, **place),
            {
                camera: Clip(info.file(info.video_path, video_key=camera, **place), 0.0)
                for camera, kind in info.cameras.items()
                if kind == "video"
            },
        )


def _read_v30(info: LeRobotInfo) -> Iterator[IndexEntry]:
    files = sorted((info.root / "meta" / "episodes").glob("*/*.parquet"))
    if not files:
        raise SourceError(
            f"{info.root}/meta/episodes holds no parquet file; the data set was not finalized "
            "(LeRobotDataset.finalize()), or is not all there."
        )
    videos = [camera for camera, kind in info.cameras.items() if kind == "video"]
    annotated = [
        f"{which}_subtask_{what}"
        for which in _ANNOTATIONS
        for what in ("names", "start_times", "end_times")
    ]
    places = [
        f"{folder}{camera}/{what}"
        for camera in videos
        for folder in ("videos/", "")
        for what in ("chunk_index", "file_index", "from_timestamp")
    ]
    needed = ["episode_index", "tasks", "length", "data/chunk_index", "data/file_index"]
    for path in files:
        for row in read_parquet(path, needed, [*places, *annotated]).to_pylist():
            yield _entry_v30(info, path, row, videos)


def _entry_v30(info: LeRobotInfo, path: Path, row: dict[str, Any], videos: list[str]) -> IndexEntry:
    def clip(camera: str) -> Clip:
        # Sets of early versions left the first word out.
        names = [f"videos/{camera}/", f"{camera}/"]
        name = next((name for name in names if row.get(f"{name}chunk_index") is not None), None)
        if name is None:
            raise SourceError(
                f"{path} does not say where the pictures of {camera!r} of episode "
                f"{row['episode_index']} are."
            )
        place = {"chunk_index": row[f"{name}chunk_index"], "file_index": row[f"{name}file_index"]}
        file = info.file(info.video_path, video_key=camera, **place)
        return Clip(file, float(row[f"{name}from_timestamp"] or 0.0))

    data = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
    return IndexEntry(
        int(row["episode_index"]),
        tuple(dict.fromkeys(row["tasks"] or ())),
        int(row["length"]),
        info.file(info.data_path, **data),
        {camera: clip(camera) for camera in videos},
        _stages(row),
    )


def _stages(row: dict[str, Any]) -> tuple[Stage, ...]:
    for which in _ANNOTATIONS:
        columns = [row.get(f"{which}_subtask_{w}") for w in ("names", "start_times", "end_times")]
        if all(columns):
            parts = [
                Stage(str(name), float(start), float(end))
                for name, start, end in zip(*columns, strict=False)
            ]
            return tuple(sorted(parts, key=lambda stage: stage.start))
    return ()
