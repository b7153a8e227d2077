"""`meta/info.json` of a LeRobot data set: its version, rate, cameras and where its files are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from topreward_ros.offline.episodes.recorded_episode import SourceError

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = ("v2.1", "v3.0")
LARGEST_FILE = 2**24
"""Bytes of info.json that are read; the features of a hundred cameras take less."""


@dataclass(frozen=True)
class LeRobotInfo:
    """What the data set says of itself.

    Attributes:
        root: its directory.
        version: one of `VERSIONS`.
        fps: frames per second.
        cameras: by feature name, in the order of the file, `video` or `image`; no depth maps.
        episodes: how many there are.
        chunk_size: episodes (v2.1) in a chunk.
        data_path: template of the parquet files' paths.
        video_path: template of the video files' paths; empty where there are none.
        robot: its type; empty where nobody said.
    """

    root: Path
    version: str
    fps: float
    cameras: dict[str, str]
    episodes: int
    chunk_size: int
    data_path: str
    video_path: str
    robot: str

    def file(self, template: str, **values: object) -> Path:
        """Returns a file's path by a template of the data set.

        Raises:
            SourceError: the template wants a value that is not known, or leaves the data set.
        """
        try:
            path = self.root / template.format(**values)
        except (KeyError, ValueError, IndexError) as error:
            raise SourceError(
                f"{self.root}/meta/info.json has the path template {template!r}, which cannot be "
                f"filled ({error})."
            ) from error
        if not path.resolve().is_relative_to(self.root.resolve()) and ".." in path.parts:
            raise SourceError(f"{self.root}/meta/info.json names {path}, outside of the data set.")
        return path


def read_info(root: Path) -> LeRobotInfo:
    """Reads and checks `meta/info.json`.

    Raises:
        SourceError: it is missing or damaged, of another version, or names no camera.
    """
    path = root / "meta" / "info.json"
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise SourceError(f"{path} has more than {LARGEST_FILE} bytes; it is no info.json.")
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path} cannot be read as JSON ({error}).") from error
    version = values.get("codebase_version") if isinstance(values, dict) else None
    if version not in VERSIONS:
        raise SourceError(
            f"{root} is a LeRobot data set of version {version!r}; {' and '.join(VERSIONS)} are "
            "read. LeRobot converts older ones."
        )
    try:
        return _checked(root, values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(
            f"{path} lacks what a data set must say of itself, or says it in another form "
            f"({type(error).__name__}: {error})."
        ) from error


def _checked(root: Path, values: dict[str, Any]) -> LeRobotInfo:
    features = values["features"]
    cameras = {
        name: feature["dtype"]
        for name, feature in features.items()
        if feature["dtype"] in ("video", "image") and not _is_depth(feature)
    }
    if not cameras:
        raise SourceError(
            f"{root} has no camera: none of its features ({', '.join(features)}) is a colour video "
            "or image."
        )
    fps = float(values["fps"])
    if not 0 < fps < 1e4:
        raise SourceError(f"{root} says that it has {fps} frames per second; expected 1 to 1000.")
    return LeRobotInfo(
        root,
        values["codebase_version"],
        fps,
        cameras,
        int(values["total_episodes"]),
        int(values.get("chunks_size") or 1000),
        str(values["data_path"]),
        str(values.get("video_path") or ""),
        str(values.get("robot_type") or ""),
    )


def _is_depth(feature: dict[str, Any]) -> bool:
    told = {**feature, **(feature.get("info") or {}), **(feature.get("video_info") or {})}
    return bool(told.get("is_depth_map") or told.get("video.is_depth_map"))
