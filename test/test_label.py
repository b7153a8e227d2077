"""`label` writes what the live node would have published for a recording."""

from __future__ import annotations

import csv
import shutil

import av
import numpy as np
import pytest
from checkpoints import write_qwen3_vl

from topreward_ros.models.loading import load_scorer
from topreward_ros.offline.label import main
from topreward_ros.offline.labels import score_recording
from topreward_ros.video.recording import open_recording


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(write_qwen3_vl(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "episode.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for grey in np.linspace(0, 250, 30):
            picture = np.full((48, 64, 3), grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


def test_each_selected_frame_gets_the_line_of_its_reading(checkpoint, video, tmp_path):
    output = tmp_path / "labels.csv"
    arguments = [str(video), "--instruction", "go", "--model", checkpoint]
    assert main([*arguments, "--output", str(output)]) == 0
    rows = list(csv.DictReader(output.open()))
    expected = list(score_recording(load_scorer(checkpoint), open_recording(video), "go"))
    assert len(rows) == len(expected) == 6
    assert [float(row["log_prob"]) for row in rows] == [r.log_prob for r in expected]
    assert [float(row["progress"]) for row in rows] == [r.progress for r in expected]
    assert {row["reward_form"] for row in rows} == {"exp_clip"}


@pytest.mark.parametrize(
    ("arguments", "threshold", "warning"),
    [
        ([], -1.5, ""),
        (["--sample-rate", "10"], None, "label: The model's own success threshold of -1.5 nat"),
        (["--sample-rate", "10", "--threshold", "-2"], -2.0, ""),
    ],
)
def test_a_models_own_threshold_is_used_at_its_own_rate(
    checkpoint, video, tmp_path, capsys, arguments, threshold, warning
):
    own, output = shutil.copytree(checkpoint, tmp_path / "own"), tmp_path / "labels.csv"
    (own / "topreward.json").write_text('{"success_threshold": -1.5}')
    named = [str(video), "--instruction", "go", "--model", str(own), "--output", str(output)]
    assert main([*named, *arguments]) == 0
    expected = "" if threshold is None else str(threshold)
    assert {row["success_threshold"] for row in csv.DictReader(output.open())} == {expected}
    error = capsys.readouterr().err
    assert warning in error and bool(warning) == ("does not hold here" in error)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["/nowhere.mp4", "--instruction", "go"], "does not exist"),
        (["VIDEO", "--instruction", " ", "--model", "MODEL"], "instruction is empty"),
        (["VIDEO", "--instruction", "go", "--model", "/nowhere"], "There is no model"),
        (["VIDEO", "--instruction", "go", "--model", "MODEL", "--camera", "/x"], "no image topic"),
        (["VIDEO", "--instruction", "go", "--fps", "-1"], "frame rate"),
    ],
)
def test_what_cannot_be_labelled_gives_one_sentence(checkpoint, video, arguments, reason, capsys):
    named = {"VIDEO": str(video), "MODEL": checkpoint}
    assert main([named.get(argument, argument) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert "Traceback" not in error
