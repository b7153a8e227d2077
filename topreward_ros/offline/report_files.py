"""The files of an episode's report: summary, plot, and the camera's video with the curve."""

from __future__ import annotations

import json
from pathlib import Path

from topreward_ros.offline.curve import draw_curve
from topreward_ros.offline.film import write_film, write_gif
from topreward_ros.offline.report import EpisodeReport
from topreward_ros.whole_file import written_whole


def write_summary(report: EpisodeReport, path: Path) -> None:
    """Writes the summary as JSON; what is not a finite number is null there."""
    path.write_text(json.dumps(report.summary(), indent=2, allow_nan=False) + "\n")


def write_report(report: EpisodeReport, directory: Path, *, gif: bool = False) -> list[Path]:
    """Writes summary.json, curve.png and overlay.mp4 into a directory, which is made.

    Args:
        report: the episode.
        directory: where to.
        gif: overlay.gif as well.

    Returns:
        What was written; without pictures there is no film.

    Raises:
        OSError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    writers = {"summary.json": write_summary, "curve.png": draw_curve}
    if len(report.frames):
        writers["overlay.mp4"] = write_film
        if gif:
            writers["overlay.gif"] = write_gif
    for name, write in writers.items():
        with written_whole(directory / name) as path:
            write(report, path)
    return [directory / name for name in writers]
