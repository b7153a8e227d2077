"""What FFmpeg notices while it reads a video: it goes on over damage, and only logs the error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import av
import av.logging

from topreward_ros.video.recordings.recording import RecordingError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av import VideoFrame as Frame
    from av.container import InputContainer
    from av.video.stream import VideoStream


@contextmanager
def refused_errors(path: Path) -> Iterator[None]:
    """Makes every error of FFmpeg, raised or only logged, a refusal.

    The library's log is one for the whole process, so it listens within this context alone. It
    counts errors; nothing of it is printed.

    Args:
        path: of the video, for the sentence.

    Raises:
        RecordingError: an error was raised or logged.
    """
    av.logging.set_level(av.logging.PANIC)  # None, the default, does not even count
    before, _ = av.logging.get_last_error()
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise damaged_video(path, one_line(error)) from error
    finally:
        after, last = av.logging.get_last_error()
        av.logging.set_level(None)
    if after > before:
        raise damaged_video(path, " ".join(f"{last[1]}: {last[2]}".split()).rstrip("."))


def checked_frames(container: InputContainer, stream: VideoStream, path: Path) -> Iterator[Frame]:
    """Decodes a stream picture by picture.

    Args:
        container: opened, at the place from which to decode.
        stream: of its pictures.
        path: of the video, for the sentence.

    Raises:
        RecordingError: an error was raised or logged, or a picture is marked corrupt.
    """
    decoded = container.decode(stream)
    while True:
        with refused_errors(path):  # not while the caller works with the picture
            frame = next(decoded, None)
        if frame is None:
            return
        if frame.is_corrupt:
            raise damaged_video(path, f"the picture at {frame.time or 0.0:.3f} s is corrupt")
        yield frame


def damaged_video(path: Path, reason: str) -> RecordingError:
    """Returns the refusal of a video that cannot be decoded as it was recorded."""
    return RecordingError(
        f"{path} cannot be read as a video; it is damaged or of an unknown kind, and the decoder "
        f"says: {reason}."
    )
