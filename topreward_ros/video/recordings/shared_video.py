"""Videos of a LeRobot data set: from version 3 on, one file holds many episodes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from topreward_ros.small_files import FileRefused, read_small
from topreward_ros.video.recordings.recording import RecordingError

if TYPE_CHECKING:
    from pathlib import Path

_DEEPEST = 5
"""Folders between a data set's root and its videos; templates of paths have three or four."""


def refuse_shared(path: Path) -> None:
    """Raises RecordingError where a video holds more than one episode of its data set."""
    for root in list(path.resolve().parents)[:_DEEPEST]:
        info = root / "meta" / "info.json"
        if info.is_file():
            episodes = _episodes_together(info)
            if episodes > 1:
                raise RecordingError(
                    f"{path} is a video of the LeRobot data set {root}, whose {episodes} episodes "
                    "share their files; expected a single episode: cut it out at the "
                    "from_timestamp and to_timestamp that meta/episodes gives for it, into a file "
                    "outside of the data set."
                )
            return


def _episodes_together(info: Path) -> int:
    """Returns how many episodes may lie in one file; 1 where each has its own."""
    try:
        said: Any = json.loads(read_small(info))
    except (FileRefused, ValueError, RecursionError):
        return 1
    if not isinstance(said, dict):
        return 1
    template, count = said.get("video_path"), said.get("total_episodes")
    shared = isinstance(template, str) and "{file_index" in template
    return count if shared and isinstance(count, int) else 1
