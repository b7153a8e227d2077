"""The live picture of an episode in a terminal: camera, progress, curve, reward, success, latency.

`LiveView` draws with rich; `PlainView` prints one line per reading where there is no terminal. Both
are told what happens through the same calls, and know nothing of ROS.
"""

from __future__ import annotations

import math
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from topreward_ros.nodes.viewing.terminal_drawing import (
    CURVE_COLUMNS,
    HalfBlocks,
    curve,
    stage_band,
)
from topreward_ros.offline.report import LoggedReading
from topreward_ros.printable import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CAMERA_ROWS = 14
"""Terminal rows of the camera picture; a row shows two rows of pixels."""
WIDE = 120
"""Terminal columns from which on there is room for the camera beside the numbers."""


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
            "log-prob censored   " if reading.censored else f"log-prob {reading.log_prob:7.3f} nat",
            f"reward {reading.reward:+6.3f}",
            f"latency {reading.latency * 1e3:5.0f} ms",
            f"stage {stage_label(reading)}" if reading.stage else "",
            "SUCCESS" if reading.success else "",
        ]
        self._write("  ".join(filter(None, cells)))

    def show_picture(self, picture: NDArray[np.uint8]) -> None:
        """Shows nothing: pictures are no text."""

    def refresh(self) -> None:
        """Has nothing left to draw."""

    def _write(self, line: str) -> None:
        print(printable(line), file=self._output, flush=True)


class LiveView:
    """A drawn panel that is redrawn in place."""

    def __init__(self, title: str, instruction: str, console: Console) -> None:
        """Draws on `console` once it is entered."""
        self._title = printable(title)
        self._instruction = printable(instruction)
        self._status = ""
        self._readings: deque[LoggedReading] = deque(maxlen=CURVE_COLUMNS)
        self._success_time: float | None = None
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
        self._instruction = printable(instruction)
        self._readings.clear()
        self._success_time = None
        self._changed = True

    def say(self, text: str, detail: str = "") -> None:
        """Shows what is being done in the panel's foot, with the next refresh."""
        status = printable(f"{text} {detail}".strip())
        self._changed = self._changed or status != self._status
        self._status = status

    def show_reading(self, reading: LoggedReading) -> None:
        """Shows a new reading with the next refresh."""
        self._readings.append(reading)
        if reading.success and self._success_time is None:
            self._success_time = reading.episode_time
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
        last = self._readings[-1] if self._readings else None
        readings = list(self._readings)
        body: RenderableType = Group(
            _gauges(last, self._success_time), curve(readings) + stage_band(readings)
        )
        # A narrow terminal keeps the numbers and goes without the picture.
        if self._picture is not None and self._console.width >= WIDE:
            beside = Table.grid(padding=(0, 3))
            beside.add_row(HalfBlocks(self._picture, CAMERA_ROWS), body)
            body = beside
        return Panel(
            body,
            title=f"[bold]{escape(self._title)}[/] [dim]{escape(self._instruction)}[/]",
            subtitle=f"[dim]{escape(self._status)}[/]",
            border_style="green" if last and last.success else "blue",
            padding=(1, 2),
            expand=False,
        )


def _gauges(last: LoggedReading | None, success_time: float | None) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column()
    if last is None:
        table.add_row("progress", Text("waiting for the first reading", style="dim"))
        return table
    bar = ProgressBar(
        total=1.0, completed=last.progress, width=32, complete_style="cyan", finished_style="cyan"
    )
    progress = Table.grid(padding=(0, 2))
    progress.add_row(bar, Text(printable(f"{last.progress:.2f} ({last.progress_source})")))
    table.add_row("progress", progress)
    table.add_row("log-prob", f"{_log_prob(last)}{_against(last)}")
    reward = printable(f"{last.reward:+7.3f} ({last.reward_form})")
    sign = "green" if last.reward > 0 else "red" if last.reward < 0 else "dim"
    table.add_row("reward", Text(reward, style=sign))
    if last.stage:
        table.add_row("stage", Text(printable(stage_label(last))))
    table.add_row("success", _success(last, success_time))
    waiting = f", {last.pending_frames} frames wait" if last.pending_frames > 1 else ""
    table.add_row(
        "latency",
        f"{last.latency * 1e3:4.0f} ms frame to reading, {last.model_time * 1e3:.0f} ms of it in "
        f"the model{waiting}",
    )
    table.add_row("time", f"{last.episode_time:5.1f} s, {last.frames} frames seen by the model")
    return table


def stage_label(reading: LoggedReading) -> str:
    """Returns the running stage and how far it is."""
    return f"{reading.stage} {reading.stage_progress:.2f}"


def _log_prob(reading: LoggedReading) -> str:
    if reading.censored:
        return "censored: not among the most probable tokens, which are all that the service tells"
    return f"{reading.log_prob:+7.3f} nat"


def _against(reading: LoggedReading) -> str:
    if not math.isfinite(reading.success_threshold):
        return ""
    score = f"{reading.success_score:.2f}" if math.isfinite(reading.success_score) else "none yet"
    return f"   (score {score}, threshold {reading.success_threshold:.2f})"


def _success(reading: LoggedReading, when: float | None) -> Text:
    if when is not None:
        return Text(f"● SUCCESS at {when:.1f} s", style="bold green")
    if math.isfinite(reading.success_threshold):
        return Text("○ not yet", style="dim")
    return Text("○ never claimed: no threshold is set for this model", style="dim")
