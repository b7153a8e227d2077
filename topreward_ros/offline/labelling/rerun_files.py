"""Labelled episodes as Rerun's files, one each, with what the cameras saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from topreward_ros.offline.labelling.bag_output import file_names
from topreward_ros.offline.labelling.episode_labels import EpisodeLabels
from topreward_ros.offline.rerun_drawing import JITTER, RerunDrawing
from topreward_ros.video.image import ImageError, decode
from topreward_ros.video.selection import STAMP_TOLERANCE
from topreward_ros.whole_file import written_whole

if TYPE_CHECKING:
    from topreward_ros.offline.episodes.recorded_episode import RecordedEpisode

MAX_RATE = 15.0
"""Pictures per second of each camera."""


def write_rerun_files(
    done: Sequence[tuple[RecordedEpisode, EpisodeLabels]],
    folder: Path,
    cameras: Sequence[str] | None,
    *,
    overwrite: bool,
    say: Callable[[str], None],
) -> None:
    """Writes an .rrd for each episode; each appears whole, and one that is there stays.

    Args:
        done: the episodes and their labels.
        folder: where to; it is made.
        cameras: topics; None: all of the recording.
        overwrite: whether files that are there are written anew.
        say: told what was left out, a sentence each.

    Raises:
        RecordingError, OSError: an episode cannot be read, or its file cannot be written.
    """
    folder.mkdir(exist_ok=True)
    for (episode, labels), name in zip(done, file_names([e.name for e, _ in done]), strict=True):
        path = folder / f"{name}.rrd"
        if path.exists() and not overwrite:
            continue
        with written_whole(path) as beside:
            _write(episode, labels, cameras, beside, say)


def _write(
    episode: RecordedEpisode,
    labels: EpisodeLabels,
    cameras: Sequence[str] | None,
    path: Path,
    say: Callable[[str], None],
) -> None:
    first, last = labels.readings[0], labels.readings[-1]
    start = first.stamp - first.episode_time
    recording = episode.open()
    topics = list(recording.topics if cameras is None else cameras)
    drawing = RerunDrawing(labels.name, labels.instruction, start)
    drawing.stream.save(path)
    drawing.begin(topics)
    for reading in labels.readings:
        drawing.reading(reading)
    for note in labels.notes:
        drawing.event(start, note, warning=True)
    newest = dict.fromkeys(topics, start - 1.0 / MAX_RATE)
    bad = 0
    for image in recording.images(topics):
        # Of an episode that ends where time goes back, only what was before that.
        inside = start - STAMP_TOLERANCE <= image.stamp <= last.stamp + STAMP_TOLERANCE
        if not inside or image.stamp - newest[image.topic] < JITTER / MAX_RATE:
            continue
        newest[image.topic] = image.stamp
        try:
            drawing.picture(image.topic, image.stamp, decode(image.message))
        except ImageError:
            bad += 1
    drawing.close()
    if bad:
        say(f"{labels.name}: {bad} pictures are not in its .rrd, as they cannot be decoded.")
