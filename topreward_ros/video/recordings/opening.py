"""Opens a recorded episode, whatever it is kept in."""

from __future__ import annotations

import math
from pathlib import Path

from topreward_ros.video.recordings.bag import Bag
from topreward_ros.video.recordings.bag_files import is_bag_file
from topreward_ros.video.recordings.bag_part import WHOLE, BagPart
from topreward_ros.video.recordings.recording import Recording, RecordingError
from topreward_ros.video.recordings.video_file import VideoFile


def open_recording(path: str | Path, fps: float | None = None, part: BagPart = WHOLE) -> Recording:
    """Opens a recorded episode.

    Args:
        path: a rosbag2 directory, a single `.mcap` or `.db3` file, or a video file.
        fps: frames per second of a video file, instead of what the file states.
        part: of a bag; a video file is taken whole.

    Raises:
        RecordingError: nothing there, damaged, without images, or a video without a frame rate.
    """
    path = Path(path).expanduser()
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise RecordingError(f"The frame rate is {fps} per second; expected a number above zero.")
    if not path.exists():
        raise RecordingError(
            f"{path} does not exist; expected a rosbag2 directory, an .mcap or .db3 file, or a "
            "video file."
        )
    if path.is_file() and not is_bag_file(path):
        return VideoFile(path, fps)
    if fps is not None:
        raise RecordingError(
            f"{path} is a bag, whose messages have their own time stamps; a frame rate is for "
            "video files."
        )
    return Bag(path, part)
