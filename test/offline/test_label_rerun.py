"""`label --rrd` leaves a file for each episode that shows its labels beside what the camera saw."""

from __future__ import annotations

import csv
import sys

import cv2
import numpy as np
import pytest
from camera_bags import NANO, raw_image, write_image_bag
from checkpoints import write_qwen3_vl
from lerobot_sets import CAMERA, FPS, picture, write_v30
from rerun_files import RerunFile

from topreward_ros.offline.label import main

pytestmark = pytest.mark.slow
START = 1_700_000_000


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(write_qwen3_vl(tmp_path_factory.mktemp("tiny")))


def shot(half_seconds, stamp=None):
    pixels = np.full((48, 64, 3), min(250, 20 * round(2 * half_seconds)), np.uint8)
    at = START * NANO + round((half_seconds if stamp is None else stamp) * NANO / 2)
    return raw_image(at, pixels, "rgb8")


def test_a_bag_becomes_one_file_with_the_labels_at_their_pictures(checkpoint, tmp_path, capsys):
    bag = write_image_bag(tmp_path / "bag", [("/lens", shot(k / 2)) for k in range(9)])
    arguments = [str(bag), "--instruction", "go", "--model", checkpoint]
    arguments += ["--statements", "reach | stage | it is near"]
    output, folder = tmp_path / "labels.csv", tmp_path / "seen"
    assert main([*arguments, "--output", str(output), "--rrd", str(folder)]) == 0
    rows = list(csv.DictReader(output.open()))
    (file,) = folder.iterdir()
    read = RerunFile(file)
    expected = [(float(row["episode_time"]), float(row["log_prob"])) for row in rows]
    assert len(expected) == 5 and read.curve("log_prob/log_prob") == expected
    assert [v for _, v in read.curve("progress/progress")] == [
        float(row["progress"]) for row in rows
    ]
    assert read.texts("/episode/stage", "StateChange") == [(0.0, "reach")]
    pictures = read.values("/camera/lens", "EncodedImage:blob")
    assert [time for time, _ in pictures] == [k / 4 for k in range(9)]
    for number, (_, data) in enumerate(pictures):
        shown = cv2.imdecode(np.array(data, np.uint8), cv2.IMREAD_COLOR)
        assert abs(float(shown.mean()) - 20 * round(number)) < 3
    assert read.static("/episode/instruction", "TextDocument:text") == "go"
    assert f"Episodes for Rerun: {folder}" in capsys.readouterr().err


def test_where_time_goes_back_the_file_ends_with_the_labels(checkpoint, tmp_path):
    messages = [("/lens", shot(k)) for k in range(4)]
    messages += [("/lens", shot(k + 4, stamp=k - 40)) for k in range(44)]
    bag = write_image_bag(tmp_path / "bag", messages)
    arguments = [str(bag), "--instruction", "go", "--model", checkpoint]
    assert main([*arguments, "--rrd", str(tmp_path / "seen")]) == 0
    (file,) = (tmp_path / "seen").iterdir()
    read = RerunFile(file)
    assert [time for time, _ in read.curve("reward/reward")] == [0.0, 0.5, 1.0, 1.5]
    pictures = read.values("/camera/lens", "EncodedImage:blob")
    assert [time for time, _ in pictures] == [0.0, 0.5, 1.0, 1.5]
    (note,) = [text for _, text in read.texts("/episode/events", "TextLog:text")]
    assert note.startswith("The labels end after frame 4")


def test_a_set_becomes_a_file_an_episode_and_whole_ones_stay(checkpoint, tmp_path, monkeypatch):
    write_v30(tmp_path / "set", [["open"], ["close"]], [15, 10])
    folder = tmp_path / "seen"
    arguments = [str(tmp_path / "set"), "--instruction", "go", "--model", checkpoint]
    arguments += ["--rrd", str(folder)]
    from topreward_ros.offline.labelling import rerun_files

    write, count = rerun_files._write, []

    def stopped(*given):
        if count:
            raise KeyboardInterrupt
        count.append(given)
        write(*given)

    monkeypatch.setattr(rerun_files, "_write", stopped)
    assert main(arguments) == 130
    (whole,) = folder.iterdir()
    before = whole.read_bytes()
    monkeypatch.setattr(rerun_files, "_write", write)
    assert main(arguments) == 0
    files = sorted(folder.iterdir())
    assert len(files) == 2 and whole.read_bytes() == before
    for number, (file, frames) in enumerate(zip(files, [15, 10], strict=True)):
        pictures = RerunFile(file).values(f"/camera/{CAMERA}", "EncodedImage:blob")
        last = (len(pictures) - 1) / FPS
        assert len(pictures) > frames - 5
        assert [time for time, _ in pictures] == pytest.approx(
            [k / FPS for k in range(len(pictures))], abs=1e-6
        )
        assert last <= frames / FPS
        shown = cv2.imdecode(np.array(pictures[3][1], np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        assert np.abs(shown.astype(int) - picture(number, 3)).mean() < 8
    assert main(arguments) == 1  # it is there already


def test_a_missing_extra_is_told_before_anything_is_scored(tmp_path, monkeypatch, capsys):
    bag = write_image_bag(tmp_path / "bag", [("/lens", shot(k)) for k in range(3)])
    monkeypatch.setitem(sys.modules, "rerun", None)
    arguments = [str(bag), "--instruction", "go", "--model", "/no/such/model"]
    assert main([*arguments, "--rrd", str(tmp_path / "seen")]) == 1
    assert "rerun-sdk is not installed" in capsys.readouterr().err
