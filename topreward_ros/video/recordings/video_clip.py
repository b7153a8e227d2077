"""Pictures at given times of a video file that holds more than one recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av

from topreward_ros.video.recordings.decoder_errors import checked_frames, refused_errors
from topreward_ros.video.recordings.recording import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SEEK_AHEAD = 0.5
"""s before the first picture at which decoding is asked to begin; it begins at a key frame."""


def clip_frames(path: Path, times: Sequence[float], tolerance: float) -> Iterator[av.VideoFrame]:
    """Decodes the pictures of a video file that were taken at given times.

    Args:
        path: the file.
        times: s of the file's own time, increasing.
        tolerance: s by which a picture's time may differ.

    Yields:
        One picture for each time.

    Raises:
        RecordingError: it cannot be decoded, a picture is damaged or not there, or it ends before.
    """
    wanted = iter(times)
    next_time = next(wanted, None)
    found = 0
    for frame in _decoded(path, times[0] if len(times) else 0.0):
        if next_time is None:
            return
        if frame.time is None or frame.time < next_time - tolerance:
            continue
        if frame.time > next_time + tolerance:
            raise RecordingError(
                f"{path} has no picture at {next_time:.3f} s, picture {found + 1} of "
                f"{len(times)}; the one after it is at {frame.time:.3f} s."
            )
        found += 1
        next_time = next(wanted, None)
        yield frame
    if next_time is not None:
        raise RecordingError(
            f"{path} is shorter than its index says: {found} of {len(times)} pictures are there, "
            f"and the next one should be at {next_time:.3f} s."
        )


def _decoded(path: Path, start: float) -> Iterator[av.VideoFrame]:
    with refused_errors(path):
        container = av.open(str(path))
    with container:
        if not container.streams.video:
            raise RecordingError(f"{path} holds no pictures; expected a video file.")
        stream = container.streams.video[0]
        begin = max(0.0, start - SEEK_AHEAD)
        if begin:
            container.seek(int(begin / stream.time_base), stream=stream)
        yield from checked_frames(container, stream, path)
