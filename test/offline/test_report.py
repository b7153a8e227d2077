"""A report says what was published, and its pictures can be opened by others."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import av
import numpy as np
import pytest
from full_disk import full_disk
from PIL import Image

from topreward_ros.offline.curve import draw_curve
from topreward_ros.offline.film import overlaid, write_film
from topreward_ros.offline.frame_log import FrameLog
from topreward_ros.offline.report import EpisodeReport, LoggedReading, ReportError
from topreward_ros.offline.report_files import write_report
from topreward_ros.whole_file import written_whole

START = 1_700_000_000.0
"""S; the episode's first frame."""


def reading(k: int, **changes: object) -> LoggedReading:
    """The k-th reading: half a second apart, progress k/10, 10 ms more latency each."""
    values = {
        "stamp": START + 0.5 * k,
        "episode_time": 0.5 * k,
        "frames": k + 1,
        "log_prob": -5.0 + 0.4 * k,
        "progress": k / 10,
        "reward": 0.1,
        "success_score": math.nan if k < 2 else -5.4 + 0.4 * k,
        "success_threshold": -2.0,
        "success": k >= 8,
        "latency": 0.1 + 0.01 * k,
    }
    return LoggedReading(**{**values, **changes})


def grey(level: int, size: tuple[int, int] = (60, 81)) -> np.ndarray:
    """A picture of one grey, uint8 RGB."""
    return np.full((*size, 3), level, np.uint8)


def frame_log(count: int, rate: float, size: tuple[int, int] = (60, 81)) -> FrameLog:
    """Pictures whose grey tells their number."""
    log = FrameLog()
    for index in range(count):
        stamp = START + index / rate
        if log.due(stamp):
            log.add(stamp, grey(index, size))
    return log


def report(readings: list[LoggedReading] | None = None, **changes: object) -> EpisodeReport:
    """An episode of 5 s with success at 4 s."""
    values = {
        "model": "demo",
        "instruction": "put the $red$ cube on the_white disc \N{SNOWMAN}",
        "episode": "episode success",
        "readings": [reading(k) for k in range(11)] if readings is None else readings,
        "frames": frame_log(53, 10.0),
    }
    return EpisodeReport(**{**values, **changes})


def test_the_summary_has_the_numbers_of_the_readings() -> None:
    """Times in s from the episode's start, latencies in ms."""
    summary = report(extra={"rate": 2.0}).summary()
    assert summary == {
        "success": True,
        "success_time_s": 4.0,
        "episode_duration_s": 5.2,
        "progress_first": 0.0,
        "progress_last": 1.0,
        "log_prob_first": -5.0,
        "log_prob_last": -1.0,
        "success_threshold": -2.0,
        "readings": 11,
        "readings_censored": 0,
        "frames": 11,
        "camera_frames": 53,
        "latency_ms_p50": 150.0,
        "latency_ms_p95": 195.0,
        "model": "demo",
        "instruction": "put the $red$ cube on the_white disc \N{SNOWMAN}",
        "episode": "episode success",
        "rate": 2.0,
    }


def test_an_episode_without_success_has_no_success_time(tmp_path: Path) -> None:
    """What is not known is null, for JSON knows no NaN."""
    readings = [
        reading(k, success=False, success_threshold=math.nan, latency=math.nan, log_prob=-math.inf)
        for k in range(4)
    ]
    write_report(report(readings), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["success"] is False
    for name in ("success_time_s", "success_threshold", "latency_ms_p50", "log_prob_last"):
        assert summary[name] is None


def test_an_episode_without_readings_is_refused() -> None:
    """In one sentence."""
    with pytest.raises(ReportError, match="not a single reading"):
        report([])


@pytest.mark.parametrize("room", [100, 4000])  # bytes: for no summary, for no picture and film
@pytest.mark.slow
def test_a_full_disk_keeps_the_report_of_before_and_no_half_of_the_new_one(tmp_path, room):
    write_report(report(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with full_disk(room), pytest.raises(OSError, match="too large"):
        write_report(report(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_film_is_one_that_every_player_shows(tmp_path: Path) -> None:
    """H.264 in yuv420p, even sides, every kept picture at its own time, the last one held."""
    written = write_report(report(), tmp_path / "new" / "directory")
    assert [path.name for path in written] == ["summary.json", "curve.png", "overlay.mp4"]
    with av.open(str(written[2])) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.codec_context.name in ("h264", "mpeg4")
        assert (stream.pix_fmt, stream.height, stream.width) == ("yuv420p", 480, 648)
    times = [frame.time for frame in frames]
    expected = [0.1 * index for index in range(53)]
    np.testing.assert_allclose(times, [*expected, 5.2 + 1.5], atol=2e-3)
    # The top of the picture is free of lettering: its grey is the frame's number.
    levels = [frame.to_ndarray(format="rgb24")[100, 40].mean() for frame in frames]
    np.testing.assert_allclose(levels[:53], np.arange(53), atol=6)


def test_a_picture_of_the_film_shows_no_reading_of_a_later_frame() -> None:
    """Success is framed in green from the frame on at which it latched."""
    green = [
        int(picture[0, 300, 1]) - int(picture[0, 300, 0]) > 60 for _, picture in overlaid(report())
    ]
    assert green == [index >= 40 for index in range(53)]


@pytest.mark.slow
def test_the_gif_is_small_and_moves(tmp_path: Path) -> None:
    """480 px wide, six pictures a second."""
    write_report(report(), tmp_path, gif=True)
    with Image.open(tmp_path / "overlay.gif") as gif:
        assert gif.width == 480
        assert 28 <= gif.n_frames <= 33


@pytest.mark.slow
def test_the_plot_is_drawn_for_every_kind_of_episode(tmp_path: Path) -> None:
    """One reading, minus infinity, no pictures, tall pictures, another reward form."""
    episodes = [
        report(),
        report([reading(0)]),
        report([reading(0), reading(1, log_prob=-math.inf)]),
        report(frames=FrameLog()),
        report(frames=frame_log(20, 10.0, (200, 40))),
        report(frames=frame_log(1, 10.0), instruction="x" * 300),
        report([reading(0, reward_form="exp_clip", progress_source="calibrated")]),
    ]
    drawn = set()
    for index, episode in enumerate(episodes):
        directory = tmp_path / str(index)
        write_report(episode, directory)
        with Image.open(directory / "curve.png") as plot:
            assert plot.size == (1500, 1080)
            drawn.add(plot.tobytes())
        assert (directory / "overlay.mp4").exists() == bool(len(episode.frames))
    assert len(drawn) == len(episodes)


def test_success_is_marked_green_in_the_plot(tmp_path: Path) -> None:
    """And an episode without it has no green picture frame."""
    shares = []
    for index, success in enumerate((True, False)):
        readings = [reading(k, success=success and k >= 8) for k in range(11)]
        write_report(report(readings), tmp_path / str(index))
        plot = np.asarray(Image.open(tmp_path / str(index) / "curve.png").convert("RGB"))
        colour = np.array([0x16, 0xA3, 0x4A])
        shares.append((np.abs(plot.astype(int) - colour).max(axis=-1) < 8).sum())
    assert shares[0] > shares[1] + 1000


def test_a_frame_log_thins_out_what_comes_too_fast() -> None:
    """It keeps at most 15 pictures a second, and counts all of them."""
    log = frame_log(120, 60.0)
    assert (log.seen, len(log)) == (120, 30)
    assert all(np.diff(log.stamps) > 0.9 / 15)
    stamp, picture = next(iter(log))
    assert stamp == START
    np.testing.assert_allclose(picture, grey(0), atol=2)


def test_a_frame_log_keeps_the_colours() -> None:
    """Red stays red."""
    log = FrameLog()
    red = np.zeros((16, 16, 3), np.uint8)
    red[:] = (200, 30, 10)
    log.add(0.0, red)
    np.testing.assert_allclose(log.picture(0), red, atol=12)


def test_a_film_for_which_there_is_no_room_is_an_error_and_no_half_of_it_is_left(tmp_path):
    with (
        full_disk(300),
        pytest.raises(OSError, match="too large"),
        written_whole(tmp_path / "film.mp4") as beside,
    ):
        write_film(report(), beside)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("numbers", [0, 4])
@pytest.mark.slow
def test_readings_without_a_number_are_counted_and_marked(tmp_path: Path, numbers: int) -> None:
    """Also where there is no other; the plot says which they are."""
    unknown = {"log_prob": math.nan, "progress": math.nan, "reward": math.nan}
    readings = [reading(k, **unknown, success=False, censored=True) for k in range(3)]
    readings += [reading(k, success=False) for k in range(3, 3 + numbers)]
    write_report(report(readings), tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text())["readings_censored"] == 3
    plain = [dataclasses.replace(each, censored=False) for each in readings]
    write_report(report(plain), tmp_path / "other")
    drawn, other = (np.asarray(Image.open(tmp_path / p / "curve.png")) for p in (".", "other"))
    assert (drawn != other).any()


@pytest.mark.slow
def test_stages_are_bands_in_the_plot_and_in_the_film(tmp_path: Path) -> None:
    names = ["grasped"] * 4 + ["placed"] * 4 + [""] * 3
    staged = report([reading(k, stage=name) for k, name in enumerate(names)])
    assert staged.stage_spans == [("grasped", 0.0, 2.0), ("placed", 2.0, 4.0)]
    assert report().stage_spans == []
    assert report([reading(0, stage="grasped")]).stage_spans == [("grasped", 0.0, 0.0)]
    for name, one in (("plain", report()), ("staged", staged)):
        draw_curve(one, tmp_path / f"{name}.png")
    plain, drawn = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in ("plain", "staged"))
    differs = (plain != drawn).any(axis=-1)
    assert differs.any() and not differs[: len(plain) // 2].any()  # in the progress alone
    pictures = [[picture for _, picture in overlaid(one)][-1] for one in (report(), staged)]
    assert (pictures[0] != pictures[1]).any()
    alike = report([reading(k, stage="") for k in range(11)])
    assert ([p for _, p in overlaid(alike)][-1] == pictures[0]).all()
