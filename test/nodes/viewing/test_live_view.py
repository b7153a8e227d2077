"""The live view says what the reading says, in a terminal and without one."""

from __future__ import annotations

import dataclasses
import io
import math

import numpy as np
import pytest
from rich.console import Console

from topreward_ros.nodes.viewing.live_view import LiveView, PlainView, open_view
from topreward_ros.nodes.viewing.terminal_drawing import (
    CURVE_COLUMNS,
    CURVE_ROWS,
    HalfBlocks,
    curve,
    stage_band,
)
from topreward_ros.offline.report import LoggedReading

READING = LoggedReading(
    stamp=101.5,
    episode_time=1.5,
    frames=4,
    log_prob=-1.234,
    progress=0.37,
    reward=-0.05,
    success_score=-1.5,
    success_threshold=-0.4,
    latency=0.123,
    model_time=0.1,
)


def live(width: int = 140) -> tuple[LiveView, Console]:
    """A view on a terminal of so many columns."""
    console = Console(width=width, height=40, force_terminal=True, file=io.StringIO(), record=True)
    return LiveView("demo model", "put [red] on [/it]", console), console


def shown(view: LiveView, console: Console) -> str:
    """What the view shows, as text."""
    console.print(view.render())
    return console.export_text()


def test_the_panel_shows_every_number_of_the_reading() -> None:
    """With units, and the instruction as it was written."""
    view, console = live()
    view.show_reading(READING)
    view.say("playing", "3 of 16 s")
    text = shown(view, console)
    for part in (
        "0.37 (running)", "-1.234 nat", "threshold -0.40", "-0.050 (difference)", "123 ms",
        "100 ms", "not yet", "4 frames", "put [red] on [/it]", "playing 3 of 16 s",
    ):  # fmt: skip
        assert part in text


def test_success_is_shown_with_its_time_and_stays() -> None:
    """Also when many readings have come since."""
    view, console = live()
    view.show_reading(dataclasses.replace(READING, success=True))
    for k in range(2 * CURVE_COLUMNS):
        view.show_reading(dataclasses.replace(READING, success=True, episode_time=2.0 + k))
    assert "SUCCESS at 1.5 s" in shown(view, console)


def test_another_episode_starts_without_the_first_ones_success() -> None:
    """And under its own instruction."""
    view, console = live()
    view.show_reading(dataclasses.replace(READING, success=True))
    view.begin("put it back")
    assert "waiting for the first reading" in shown(view, console)
    view.show_reading(READING)
    text = shown(view, console)
    assert "put it back" in text and "not yet" in text and "SUCCESS" not in text


def test_without_a_threshold_nothing_is_awaited() -> None:
    """A model without a threshold never claims success, and the view says so."""
    view, console = live()
    view.show_reading(dataclasses.replace(READING, success_threshold=math.nan))
    assert "no threshold is set" in shown(view, console)


@pytest.mark.parametrize(("width", "pictured"), [(140, True), (80, False)])
def test_the_camera_is_shown_where_there_is_room(width: int, pictured: bool) -> None:
    """A narrow terminal keeps the numbers."""
    view, console = live(width)
    view.show_reading(READING)
    view.show_picture(np.zeros((48, 64, 3), np.uint8))
    text = shown(view, console)
    assert ("▀" in text) == pictured
    assert "-1.234 nat" in text
    assert max(map(len, text.splitlines())) <= width


def test_a_cell_of_the_picture_has_the_colours_of_its_two_pixels() -> None:
    """The upper half is the character's, the lower half the background's."""
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0], picture[1] = (250, 10, 20), (30, 40, 240)
    console = Console(width=20, force_terminal=True, color_system="truecolor", file=io.StringIO())
    console.print(HalfBlocks(picture, rows=1))
    assert "38;2;250;10;20;48;2;30;40;240" in console.file.getvalue()


def test_the_curve_rises_where_the_log_prob_rises() -> None:
    """Lowest first, highest last, with the range in nat beside it."""
    readings = [dataclasses.replace(READING, log_prob=-4.0 + k) for k in range(4)]
    lines = curve(readings).plain.strip("\n").splitlines()[1:]
    assert len(lines) == CURVE_ROWS
    assert lines[0].strip().startswith("-1.00")
    assert lines[-1].strip().startswith("-4.00")
    columns = [line[9:].ljust(4) for line in lines]
    heights = [sum(line[k] not in " " for line in columns) for k in range(4)]
    assert heights == sorted(heights)
    assert heights[0] == 1
    assert heights[-1] == CURVE_ROWS


@pytest.mark.parametrize("log_prob", [-math.inf, math.nan, -1.0])
def test_the_curve_survives_values_that_have_no_height(log_prob: float) -> None:
    """And more readings than there are columns."""
    readings = [dataclasses.replace(READING, log_prob=log_prob)] * (2 * CURVE_COLUMNS)
    lines = curve(readings).plain.splitlines()
    assert all(len(line) <= CURVE_COLUMNS + 9 for line in lines)


def test_without_a_terminal_there_is_a_line_for_each_reading() -> None:
    """And one for each thing that is done, however often it is said."""
    output = io.StringIO()
    with PlainView("demo model", "put it there", output) as view:
        for second in range(3):
            view.say("playing", f"{second} of 3 s")
        view.show_reading(dataclasses.replace(READING, success=True))
        view.show_picture(np.zeros((4, 4, 3), np.uint8))
        view.refresh()
    lines = output.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[1] == "[playing]"
    for part in ("1.50 s", "progress 0.37", "-1.234 nat", "-0.050", "123 ms", "SUCCESS"):
        assert part in lines[2]


def test_the_view_is_plain_where_output_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """As under a build server."""
    assert isinstance(open_view("demo model", "put it there"), PlainView)
    assert "put it there" in capsys.readouterr().out


def test_a_view_redraws_only_what_changed() -> None:
    """A view that nothing happens to costs nothing."""
    view, console = live()
    with view:
        view.show_reading(READING)
        view.refresh()
        written = len(console.file.getvalue())
        view.refresh()
        assert len(console.file.getvalue()) == written


CENSORED = dataclasses.replace(
    READING, log_prob=math.nan, progress=math.nan, reward=math.nan, censored=True
)


def test_a_censored_reading_is_called_so_in_a_terminal_and_without_one() -> None:
    """It is no number, and no "nan" that nobody can make anything of."""
    view, console = live()
    view.show_reading(CENSORED)
    assert "censored: not among the most probable tokens" in shown(view, console)
    lines = io.StringIO()
    PlainView("demo", "go", lines).show_reading(CENSORED)
    assert "log-prob censored" in lines.getvalue() and "nan nat" not in lines.getvalue()


def test_what_is_unknown_leaves_a_gap_in_the_curve_and_is_not_low() -> None:
    """A column of its own, empty in every row."""
    known = [dataclasses.replace(READING, log_prob=-4.0 + k) for k in range(3)]
    text = curve([*known[:2], CENSORED, known[2]]).plain
    foot = text.rstrip("\n").splitlines()[-1]
    assert foot[9:] == f"▁█{' '}█"


def test_stages_are_bands_below_their_part_of_the_curve() -> None:
    """A name that is wider than its part is cut with an ellipsis; none stands where none ran."""
    stages = ["", *["grasp"] * 8, *["a long way over"] * 6, *["put"] * 3]
    readings = [dataclasses.replace(READING, stage=one) for one in stages]
    band = stage_band(readings)
    assert band.plain == "\n" + " " * 9 + " " + "grasp   " + "a lo… " + "pu "
    assert stage_band([READING] * 3).plain == ""
    colours = {band.plain[span.start : span.end].strip(): span.style for span in band.spans}
    assert (colours["grasp"], colours["pu"]) == ("black on green", "black on blue")


def test_the_running_stage_is_shown_with_how_far_it_is() -> None:
    """Nothing of it where no stages are given."""
    view, console = live()
    view.show_reading(READING)
    assert "stage" not in shown(view, console)
    staged = dataclasses.replace(READING, stage="grasp", stage_progress=0.25)
    view.show_reading(staged)
    assert "grasp 0.25" in shown(view, console)
    output = io.StringIO()
    with PlainView("demo model", "put it there", output) as plain:
        plain.show_reading(staged)
    assert "stage grasp 0.25" in output.getvalue()
