"""Curves and pictures made of characters, for rich."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from topreward_ros.printable import printable
from topreward_ros.video.resizing import resize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from topreward_ros.offline.report import LoggedReading

BLOCKS = " ▁▂▃▄▅▆▇█"
CURVE_ROWS = 6
CURVE_COLUMNS = 60
CAMERA_COLUMNS = 44
MARGIN = 9
"""Columns left of the curve, for its range in nat."""


def stage_band(readings: Sequence[LoggedReading]) -> Text:
    """Returns the stages that ran as bands, each below its part of the curve.

    Args:
        readings: in time order, as for `curve`.

    Returns:
        One line; nothing where no stage ran.
    """
    text = Text()
    runs = [
        (stage, len(list(run)))
        for stage, run in itertools.groupby(each.stage for each in readings[-CURVE_COLUMNS:])
    ]
    if not any(stage for stage, _ in runs):
        return text
    text.append("\n" + " " * MARGIN)
    for number, (stage, columns) in enumerate(runs, 1):
        running = number == len(runs)
        style = ("black on blue" if running else "black on green") if stage else ""
        label = Text(printable(stage))
        # One column less than it ran: the blank keeps two bands apart.
        label.truncate(columns - 1, overflow="ellipsis" if columns > 3 else "crop", pad=True)
        text.append(label.plain, style=style)
        text.append(" ")
    return text


def curve(readings: Sequence[LoggedReading]) -> Text:
    """Returns the log-prob over time as columns of blocks, the newest at the right.

    Args:
        readings: in time order.

    Returns:
        CURVE_ROWS lines of at most CURVE_COLUMNS characters, the range in nat beside them.
    """
    values = np.array([each.log_prob for each in readings][-CURVE_COLUMNS:], dtype=float)
    finite = values[np.isfinite(values)]
    text = Text()
    if not finite.size:
        return text
    text.append("\nlog-prob (nat)\n", style="dim")
    low, high = float(finite.min()), float(finite.max())
    span = high - low
    heights = np.where(np.isfinite(values), (values - low) / span if span > 0 else 0.5, 0.0)
    steps = np.round(np.clip(heights, 0.0, 1.0) * (CURVE_ROWS * 8 - 1)).astype(int) + 1
    steps[np.isnan(values)] = 0  # a gap: what is unknown is not low
    done = [each.success for each in readings][-CURVE_COLUMNS:]
    for row in reversed(range(CURVE_ROWS)):
        label = {CURVE_ROWS - 1: f"{high:8.2f} ", 0: f"{low:8.2f} "}.get(row, " " * MARGIN)
        text.append(label, style="dim")
        blocks = [BLOCKS[step] for step in np.clip(steps - row * 8, 0, 8)]
        latched = done.index(True) if True in done else len(done)
        text.append("".join(blocks[:latched]), style="blue")
        text.append("".join(blocks[latched:]), style="green")
        text.append("\n" if row else "")
    return text


class HalfBlocks:
    """A picture as characters whose upper and lower halves are pixels."""

    def __init__(self, picture: NDArray[np.uint8], rows: int) -> None:
        """Fits a picture, uint8 RGB (H, W, 3), into so many terminal rows."""
        height, width = picture.shape[:2]
        self.columns = min(CAMERA_COLUMNS, max(1, round(2 * rows * width / height)))
        self.pixels = resize(picture, (2 * rows, self.columns))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Says that the width is fixed."""
        del console, options
        return Measurement(self.columns, self.columns)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the rows; segments directly, since text with 500 styles takes 0.4 s to lay out."""
        del console, options
        for above, below in zip(self.pixels[::2].tolist(), self.pixels[1::2].tolist(), strict=True):
            for upper, lower in zip(above, below, strict=True):
                style = Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))
                yield Segment("▀", style)
            yield Segment.line()
