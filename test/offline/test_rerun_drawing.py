"""What Rerun reads back of a drawn episode is what was drawn, at its time."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from repository import ROOT
from rerun_files import RerunFile

from topreward_ros.offline.report import LoggedReading
from topreward_ros.offline.rerun_drawing import RerunDrawing, RerunMissing, load_rerun

START = 1_763_000_000.25
TASK = "put the red cube on the disc"
CAMERA = "/left camera/image.raw"


def reading(time: float, **fields) -> LoggedReading:
    told = {"log_prob": -2.0, "progress": 0.25, "reward": 0.5, **fields}
    return LoggedReading(stamp=START + time, episode_time=time, frames=1, **told)


@pytest.fixture
def drawn(tmp_path: Path):
    """Draws readings, pictures and events into a file; returns what Rerun reads of it."""

    def draw(*readings, pictures=(), events=()) -> RerunFile:
        drawing = RerunDrawing("episode 7", TASK, START)
        drawing.stream.save(tmp_path / "it.rrd")
        drawing.begin([CAMERA])
        for one in readings:
            drawing.reading(one)
        for time, picture in pictures:
            drawing.picture(CAMERA, START + time, picture)
        for time, text in events:
            drawing.event(START + time, text)
        drawing.close()
        return RerunFile(tmp_path / "it.rrd")

    return draw


def test_curves_have_the_readings_values_at_their_episode_times(drawn) -> None:
    read = drawn(
        reading(0.0, log_prob=-3.0, progress=0.0, reward=0.0),
        reading(0.5, log_prob=-1.5, progress=0.75, reward=1.25, success_score=-2.25),
    )
    assert read.curve("log_prob/log_prob") == [(0.0, -3.0), (0.5, -1.5)]
    assert read.curve("progress/progress") == [(0.0, 0.0), (0.5, 0.75)]
    assert read.curve("reward/reward") == [(0.0, 0.0), (0.5, 1.25)]
    assert read.curve("log_prob/success_score") == [(0.5, -2.25)]
    assert read.curve("log_prob/success_threshold") == []


def test_what_is_drawn_stands_at_the_cameras_time_too(drawn) -> None:
    read = drawn(reading(0.0), reading(0.5))
    times = [time for time, _ in read.values("/curves/progress/progress", "Scalars", line="stamp")]
    assert times == pytest.approx([START, START + 0.5], abs=1e-6)


def test_the_threshold_and_the_success_flag_are_drawn_where_they_change(drawn) -> None:
    read = drawn(
        reading(0.0, success_threshold=-1.0),
        reading(0.5, success_threshold=-1.0),
        reading(1.0, success_threshold=-1.0, success=True),
    )
    assert read.curve("log_prob/success_threshold") == [(0.0, -1.0), (0.5, -1.0), (1.0, -1.0)]
    assert read.texts("/episode/success", "StateChange") == [(0.0, "not yet"), (1.0, "success")]


def test_without_a_threshold_no_success_is_awaited(drawn) -> None:
    read = drawn(reading(0.0))
    assert read.texts("/episode/success", "StateChange") == [(0.0, "no threshold")]


def test_stages_are_drawn_where_they_change(drawn) -> None:
    stages = ["grasp", "grasp", "place", ""]
    read = drawn(*(reading(0.5 * n, stage=one) for n, one in enumerate(stages)))
    found = read.texts("/episode/stage", "StateChange")
    assert found == [(0.0, "grasp"), (1.0, "place"), (1.5, "none")]
    assert "/episode/stage" in read.printed()


def test_without_stages_none_is_drawn(drawn) -> None:
    assert "/episode/stage" not in drawn(reading(0.0)).entities()


def test_a_log_prob_that_is_none_is_a_hole_and_not_a_line_across(drawn) -> None:
    read = drawn(reading(0.0), reading(0.5, log_prob=math.nan, censored=True), reading(1.0))
    assert [time for time, _ in read.curve("log_prob/log_prob")] == [0.0, 0.5, 1.0]
    assert math.isnan(read.curve("log_prob/log_prob")[1][1])


def test_pictures_are_jpeg_of_what_the_camera_saw_at_their_stamps(drawn) -> None:
    red = np.full((48, 64, 3), (200, 30, 10), np.uint8)
    read = drawn(reading(0.5), pictures=[(0.0, red), (0.5, red[:, ::-1])])
    found = read.values(r"/camera/left\ camera/image.raw", "EncodedImage:blob")
    assert [time for time, _ in found] == [0.0, 0.5]
    picture = cv2.imdecode(np.array(found[0][1], np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert picture.shape == red.shape
    assert np.abs(picture.astype(int) - red).max() < 12


def test_task_and_events_are_there_in_words(drawn) -> None:
    read = drawn(reading(0.0), events=[(0.25, "The arm dropped it.")])
    assert read.texts("/episode/events", "TextLog:text") == [(0.25, "The arm dropped it.")]
    assert read.static("/episode/instruction", "TextDocument:text") == TASK


def test_a_blueprint_with_the_camera_comes_with_it(drawn) -> None:
    read = drawn(reading(0.0))
    assert read.blueprints() == 1
    assert "ViewContents" in (told := read.printed()) and "/left camera/image.raw" in told


def test_without_the_extra_one_sentence_says_how_it_comes(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(RerunMissing, match=r"rerun-sdk is not installed.*--extra rerun"):
        load_rerun()


def test_the_module_itself_needs_no_rerun() -> None:
    code = "import sys; sys.modules['rerun'] = None; import topreward_ros.offline.rerun_drawing"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
