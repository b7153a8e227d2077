"""The camera's video with the running reward drawn over it, as mp4 and as gif."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from PIL import Image

from topreward_ros.offline.report import stage_changes
from topreward_ros.video.overlay import OverlayState, draw_overlay
from topreward_ros.video.resizing import resize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from topreward_ros.offline.report import EpisodeReport

MIN_HEIGHT = 480
"""Px; smaller pictures are enlarged, so that the lettering can be read."""
HOLD = 1.5
"""S for which the last picture stays."""
MILLISECOND = Fraction(1, 1000)
QUALITY = {"libx264": {"crf": "21", "preset": "veryfast"}, "mpeg4": {"qscale": "3"}}
GIF_RATE = 6.0
GIF_WIDTH = 480
GIF_COLOURS = 128
STAMP_TOLERANCE = 1e-6


def write_film(report: EpisodeReport, path: Path) -> None:
    """Writes an mp4 that every player shows: h264 (mpeg4 where there is no encoder), yuv420p.

    Each picture has its own time, that of its stamp.

    Args:
        report: the episode; there is no film of one without pictures.
        path: the file.
    """
    codec = _codec()
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(codec, rate=30, options=QUALITY[codec])
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = MILLISECOND
        newest = -1
        for time, picture in _with_hold(report):
            if newest < 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            newest = max(newest + 1, round(time * 1000))
            frame.pts, frame.time_base = newest, MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_gif(report: EpisodeReport, path: Path) -> None:
    """Writes a small gif for pages that show no video: 480 px wide, 6 pictures a second."""
    pictures: list[Image.Image] = []
    due = 0.0
    for time, picture in _with_hold(report):
        if time < due:
            continue
        due += 1.0 / GIF_RATE
        height = round(picture.shape[0] * GIF_WIDTH / picture.shape[1])
        small = Image.fromarray(resize(picture, (height, GIF_WIDTH)))
        pictures.append(small.quantize(GIF_COLOURS, dither=Image.Dither.NONE))
    durations = [round(1000 / GIF_RATE)] * (len(pictures) - 1) + [round(1000 * HOLD)]
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True
    )


def overlaid(report: EpisodeReport) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Yields (s since the first picture, uint8 RGB (H, W, 3) with the overlay), in order.

    A picture shows the readings of frames up to itself. Heights and widths are even.
    """
    stamps = [reading.stamp for reading in report.readings]
    size: tuple[int, int] | None = None
    begin = report.frames.stamps[0] if len(report.frames) else 0.0
    for stamp, picture in report.frames:
        # An encoder cannot take pictures of another size than the first.
        size = size or _film_size(picture.shape[0], picture.shape[1])
        known = bisect.bisect_right(stamps, stamp + STAMP_TOLERANCE)
        yield stamp - begin, draw_overlay(resize(picture, size), _state(report, known))


def _with_hold(report: EpisodeReport) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    time, picture = 0.0, None
    for time, picture in overlaid(report):
        yield time, picture
    if picture is not None:
        yield time + HOLD, picture


def _state(report: EpisodeReport, known: int) -> OverlayState:
    shown = report.readings[:known]
    last = shown[-1] if shown else None
    success = bool(last and last.success)
    return OverlayState(
        instruction=report.instruction,
        times=[each.episode_time for each in shown],
        progress=[each.progress for each in shown],
        log_prob=last.log_prob if last and math.isfinite(last.log_prob) else None,
        reward=last.reward if last else None,
        success=success,
        success_time=report.success_time if success else None,
        duration=report.duration,
        model=report.model_label,
        censored=bool(last and last.censored),
        stages=stage_changes(shown),
    )


def _film_size(height: int, width: int) -> tuple[int, int]:
    scale = max(1.0, MIN_HEIGHT / height)
    return 2 * round(height * scale / 2), 2 * round(width * scale / 2)


def _codec() -> str:
    try:
        av.codec.Codec("libx264", "w")
    except ValueError:  # PyAV's UnknownCodecError
        return "mpeg4"
    return "libx264"
