"""The files of an episode's report: summary, plot, and the camera's video with the curve."""

from __future__ import annotations

import json
from pathlib import Path

from topreward_ros.offline.curve import draw_curve
from topreward_ros.offline.film import write_film, write_gif
from topreward_ros.offline.report import EpisodeReport
from topreward_ros.offline.rerun_drawing import RerunDrawing
from topreward_ros.whole_file import written_whole

CAMERA = "camera"


def write_summary(report: EpisodeReport, path: Path) -> None:
    """Writes the summary as JSON; what is not a finite number is null there."""
    path.write_text(json.dumps(report.summary(), indent=2, allow_nan=False) + "\n")


def write_rrd(report: EpisodeReport, path: Path) -> None:
    """Writes the episode for Rerun.

    Raises:
        RerunMissing: it is not installed.
    """
    drawing = RerunDrawing(report.episode, report.instruction, report.start)
    drawing.stream.save(path)
    drawing.begin([CAMERA] if len(report.frames) else [])
    for reading in report.readings:
        drawing.reading(reading)
    for stamp, picture in report.frames:
        drawing.picture(CAMERA, stamp, picture)
    when = report.success_time
    if when is not None:
        drawing.event(report.start + when, f"Success at {when:.1f} s.")
    drawing.close()


def write_report(
    report: EpisodeReport, directory: Path, *, gif: bool = False, rrd: bool = False
) -> list[Path]:
    """Writes summary.json, curve.png and overlay.mp4 into a directory, which is made.

    Args:
        report: the episode.
        directory: where to.
        gif: overlay.gif as well.
        rrd: episode.rrd as well.

    Returns:
        What was written; without pictures there is no film.

    Raises:
        OSError: the directory cannot be written.
        RerunMissing: Rerun is asked for, and not installed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    writers = {"summary.json": write_summary, "curve.png": draw_curve}
    if len(report.frames):
        writers["overlay.mp4"] = write_film
        if gif:
            writers["overlay.gif"] = write_gif
    if rrd:
        writers["episode.rrd"] = write_rrd
    for name, write in writers.items():
        with written_whole(directory / name) as path:
            write(report, path)
    return [directory / name for name in writers]
