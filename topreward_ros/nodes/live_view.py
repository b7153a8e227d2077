"""The live picture of an episode in a terminal: camera, progress, curve, reward, success, latency.

`LiveView` draws with rich; `PlainView` prints one line per reading where there is no terminal. Both
are told what happens through the same calls, and know nothing of ROS.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TextIO

import numpy as np
from rich.color import Color
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.measure import Measurement
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from topreward_ros.offline.report import LoggedReading
from topreward_ros.video.resizing import resize

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCKS = " ▁▂▃▄▅▆▇█"
CURVE_ROWS = 6
CURVE_COLUMNS = 60
CAMERA_ROWS = 14
"""Terminal rows of the camera picture; a row shows two rows of pixels."""
CAMERA_COLUMNS = 44
WIDE = 120
"""Terminal columns from which on there is room for the camera beside the numbers."""
MAX_READINGS = 600


class View(Protocol):
    """What shows an episode while it runs."""

    def __enter__(self) -> View:
        """Takes the terminal."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives the terminal back, with the last state left standing."""

    def begin(self, instruction: str) -> None:
        """Starts another episode, or the same one under another instruction."""

    def say(self, text: str, detail: str = "") -> None:
        """Shows what is being done, and how far that is."""

    def show_reading(self, reading: LoggedReading) -> None:
        """Shows a new reading."""

    def show_picture(self, picture: NDArray[np.uint8]) -> None:
        """Shows what the camera sees, uint8 RGB (H, W, 3)."""

    def refresh(self) -> None:
        """Draws what has come since the last time."""


def open_view(title: str, instruction: str, *, plain: bool = False) -> View:
    """Returns the view that fits standard output: drawn in a terminal, lines elsewhere.

    Args:
        title: what runs, for people.
        instruction: the task.
        plain: lines even in a terminal.
    """
    console = Console()
    if plain or not console.is_terminal or console.is_dumb_terminal:
        return PlainView(title, instruction)
    return LiveView(title, instruction, console)


class PlainView:
    """One line per event, for logs and machines."""

    def __init__(self, title: str, instruction: str, output: TextIO | None = None) -> None:
        """Prints to `output`, standard output if None."""
        self._output = output
        self._title = title
        self._said = ""
        self._instruction = ""
        self.begin(instruction)

    def __enter__(self) -> PlainView:
        """Needs nothing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Needs nothing."""

    def begin(self, instruction: str) -> None:
        """Prints what is asked about."""
        if instruction != self._instruction:
            self._instruction = instruction
            self._write(f"{self._title}: {instruction!r}")

    def say(self, text: str, detail: str = "") -> None:
        """Prints what is being done, once."""
        del detail
        if text != self._said:
            self._said = text
            self._write(f"[{text}]")

    def show_reading(self, reading: LoggedReading) -> None:
        """Prints a reading."""
        cells = [
            f"{reading.episode_time:6.2f} s",
            f"progress {reading.progress:4.2f}",
            f"log-prob {reading.log_prob:7.3f} nat",
            f"reward {reading.reward:+6.3f}",
            f"latency {reading.latency * 1e3:5.0f} ms",
            "SUCCESS" if reading.success else "",
        ]
        self._write("  ".join(cells).rstrip())

    def show_picture(self, picture: NDArray[np.uint8]) -> None:
        """Shows nothing: pictures are no text."""

    def refresh(self) -> None:
        """Has nothing left to draw."""

    def _write(self, line: str) -> None:
        print(line, file=self._output, flush=True)


class LiveView:
    """A drawn panel that is redrawn in place."""

    def __init__(self, title: str, instruction: str, console: Console) -> None:
        """Draws on `console` once it is entered."""
        self._title = title
        self._instruction = instruction
        self._status = ""
        self._readings: deque[LoggedReading] = deque(maxlen=MAX_READINGS)
        self._picture: NDArray[np.uint8] | None = None
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._changed = True

    def __enter__(self) -> LiveView:
        """Takes the terminal."""
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leaves the last state standing."""
        self._changed = True
        self.refresh()
        self._live.__exit__(kind, error, trace)

    def begin(self, instruction: str) -> None:
        """Clears the curve and shows the instruction, with the next refresh."""
        self._instruction = instruction
        self._readings.clear()
        self._changed = True

    def say(self, text: str, detail: str = "") -> None:
        """Shows what is being done in the panel's foot, with the next refresh."""
        status = f"{text} {detail}".strip()
        self._changed = self._changed or status != self._status
        self._status = status

    def show_reading(self, reading: LoggedReading) -> None:
        """Shows a new reading with the next refresh."""
        self._readings.append(reading)
        self._changed = True

    def show_picture(self, picture: NDArray[np.uint8]) -> None:
        """Shows what the camera sees with the next refresh."""
        self._picture = picture
        self._changed = True

    def refresh(self) -> None:
        """Redraws, if anything has changed."""
        if self._changed:
            self._changed = False
            self._live.update(self.render(), refresh=True)

    def render(self) -> RenderableType:
        """Returns the panel as it stands."""
        body: RenderableType = Group(_gauges(self._readings), curve(self._readings))
        # A narrow terminal keeps the numbers and goes without the picture.
        if self._picture is not None and self._console.width >= WIDE:
            beside = Table.grid(padding=(0, 3))
            beside.add_row(HalfBlocks(self._picture, CAMERA_ROWS), body)
            body = beside
        return Panel(
            body,
            title=f"[bold]{escape(self._title)}[/] [dim]{escape(self._instruction)}[/]",
            subtitle=f"[dim]{escape(self._status)}[/]",
            border_style="green" if self._readings and self._readings[-1].success else "blue",
            padding=(1, 2),
            expand=False,
        )


def _gauges(readings: Sequence[LoggedReading]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column()
    if not readings:
        table.add_row("progress", Text("waiting for the first reading", style="dim"))
        return table
    last = readings[-1]
    bar = ProgressBar(
        total=1.0, completed=last.progress, width=32, complete_style="cyan", finished_style="cyan"
    )
    progress = Table.grid(padding=(0, 2))
    progress.add_row(bar, f"{last.progress:.2f} ({last.progress_source})")
    table.add_row("progress", progress)
    table.add_row("log-prob", f"{last.log_prob:+7.3f} nat{_against(last)}")
    sign = "green" if last.reward > 0 else "red" if last.reward < 0 else "dim"
    table.add_row("reward", Text(f"{last.reward:+7.3f} ({last.reward_form})", style=sign))
    table.add_row("success", success_text(readings))
    waiting = f", {last.pending_frames} frames wait" if last.pending_frames > 1 else ""
    table.add_row(
        "latency",
        f"{last.latency * 1e3:4.0f} ms frame to reading, {last.model_time * 1e3:.0f} ms of it in "
        f"the model{waiting}",
    )
    table.add_row("time", f"{last.episode_time:5.1f} s, {last.frames} frames seen by the model")
    return table


def _against(reading: LoggedReading) -> str:
    if not math.isfinite(reading.success_threshold):
        return ""
    score = f"{reading.success_score:.2f}" if math.isfinite(reading.success_score) else "none yet"
    return f"   (score {score}, threshold {reading.success_threshold:.2f})"


def success_text(readings: Sequence[LoggedReading]) -> Text:
    """Returns the success flag in words, with the time at which it latched."""
    when = next((each.episode_time for each in readings if each.success), None)
    if when is not None:
        return Text(f"● SUCCESS at {when:.1f} s", style="bold green")
    if math.isfinite(readings[-1].success_threshold):
        return Text("○ not yet", style="dim")
    return Text("○ never claimed: no threshold is set for this model", style="dim")


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
    done = [each.success for each in readings][-CURVE_COLUMNS:]
    for row in reversed(range(CURVE_ROWS)):
        label = {CURVE_ROWS - 1: f"{high:8.2f} ", 0: f"{low:8.2f} "}.get(row, " " * 9)
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
