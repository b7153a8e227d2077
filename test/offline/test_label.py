"""`label` writes what the live node would have published for a recording."""

from __future__ import annotations

import csv
import shutil

import av
import numpy as np
import pytest
from calibration_files import CEILING, FLOOR, THRESHOLD, write_calibration
from camera_bags import NANO, raw_image, write_image_bag
from checkpoints import write_qwen3_vl

from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.offline.label import main
from topreward_ros.offline.labels import score_recording
from topreward_ros.video.recordings.opening import open_recording


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


def shot(half_seconds, *, bad=False):
    """An image of the camera's time; a bad one is of an encoding that is not read."""
    seed = round(2 * half_seconds)
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)
    stamp = 1_700_000_000 * NANO + round(half_seconds * NANO / 2)
    return raw_image(stamp, pixels, "16UC1" if bad else "rgb8")


def labelled(checkpoint, messages, folder, *arguments):
    """Labels a bag of topics and messages; returns exit status and lines."""
    bag = write_image_bag(folder / "bag", messages)
    output = folder / "labels.csv"
    given = ["--instruction", "go", "--model", checkpoint, "--output", str(output), *arguments]
    status = main([str(bag), *given])
    return status, list(csv.DictReader(output.open())) if status == 0 else []


def times(lines):
    return [float(line["episode_time"]) for line in lines]


def test_pictures_that_cannot_be_decoded_are_left_out_and_counted(checkpoint, tmp_path, capsys):
    messages = [("/lens", shot(k, bad=k in (1, 2))) for k in (0, 1, 1.5, 2, 2.5, 3)]
    status, lines = labelled(checkpoint, messages, tmp_path)
    assert status == 0 and times(lines) == [0.0, 0.75, 1.25, 1.5]
    told = capsys.readouterr().err
    assert "label: Pictures left out, as they cannot be decoded: 2. The first: Camera" in told
    assert "'/lens'" in told and "16UC1" in told


def test_labels_end_in_one_sentence_where_time_goes_back(checkpoint, tmp_path, capsys):
    messages = [("/lens", shot(k)) for k in (14, 15, 16, 0, 1, 2, 3)]
    status, lines = labelled(checkpoint, messages, tmp_path)
    assert status == 0 and times(lines) == [0.0, 0.5, 1.0]
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("label:")]
    assert len(told) == 1
    assert told[0].startswith("label: The labels end after frame 3: The time of camera '/lens'")


def test_a_recording_without_a_frame_is_refused(checkpoint, tmp_path, capsys):
    messages = [(lens, shot(k + late)) for k in range(3) for lens, late in (("/a", 0), ("/b", 90))]
    status, _ = labelled(checkpoint, messages, tmp_path)
    assert status == 1 and "gives no frame" in capsys.readouterr().err


def test_time_that_goes_back_before_the_first_frame_ends_nothing(checkpoint, tmp_path, capsys):
    messages = [
        ("/a", shot(90)),
        ("/a", shot(0)),
        ("/b", shot(0)),
        ("/a", shot(1)),
        ("/a", shot(2)),
    ]
    messages += [("/b", shot(2))]
    status, lines = labelled(checkpoint, messages, tmp_path)
    assert status == 0 and len(lines) == 1
    assert "The labels end" not in capsys.readouterr().err


def test_messages_in_exchanged_order_cost_no_label_and_are_counted(checkpoint, tmp_path, capsys):
    order = [k / 6 for k in range(52)]  # 12 Hz
    for k in range(14, 50, 15):
        order[k], order[k + 1] = order[k + 1], order[k]
    status, lines = labelled(checkpoint, [("/lens", shot(k)) for k in order], tmp_path)
    assert status == 0 and len(lines) == 9
    assert "came after a newer one, left out: 3." in capsys.readouterr().err


ALWAYS = ["--threshold", "-1000", "--hold", "1", "--min-duration", "0"]


def test_no_success_is_labelled_on_a_frozen_camera(checkpoint, tmp_path, capsys):
    def frozen(k):
        message = shot(k)
        message.data[:] = shot(2).data
        return message

    messages = [("/lens", shot(k) if k <= 2 else frozen(k)) for k in range(12)]
    status, lines = labelled(checkpoint, messages, tmp_path, *ALWAYS)
    assert status == 0 and len(lines) == 12
    assert {line["success"] for line in lines} == {"False"}
    assert [line["seen"] for line in lines] == ["True"] * 3 + ["False"] * 9
    assert "bit for bit the one before: 9" in capsys.readouterr().err
    _, simulated = labelled(checkpoint, messages, tmp_path / "again", *ALWAYS, "--no-frozen-check")
    assert simulated[-1]["success"] == "True"


def test_a_hole_in_the_recording_starts_the_hold_anew_and_is_told(checkpoint, tmp_path, capsys):
    messages = [("/lens", shot(k)) for k in (0, 1, 2, 3, 9, 10, 11, 12, 13, 14)]
    status, lines = labelled(checkpoint, messages, tmp_path, *ALWAYS)
    assert status == 0
    latched = [float(line["episode_time"]) for line in lines if line["success"] == "True"]
    assert latched[0] == 6.5  # the window is full again at 5.5 s
    assert "came more than 0.75 s after the one before: 1" in capsys.readouterr().err


def test_a_calibration_gives_floor_ceiling_and_threshold(checkpoint, tmp_path):
    file = write_calibration(checkpoint, tmp_path / "task.yaml", ["go"])
    given = ["--calibration-file", file]
    messages = [("/lens", shot(k)) for k in range(3)]
    _, lines = labelled(checkpoint, messages, tmp_path, *given)
    for line in lines:
        progress = (float(line["log_prob"]) - FLOOR) / (CEILING - FLOOR)
        assert float(line["progress"]) == pytest.approx(min(max(progress, 0.0), 1.0))
        assert float(line["success_threshold"]) == THRESHOLD
        assert line["progress_source"] == "calibrated"


@pytest.mark.parametrize("task", ["go", "open the drawer"])
def test_a_threshold_that_was_set_rules_over_the_calibrations(checkpoint, tmp_path, task):
    file = write_calibration(checkpoint, tmp_path / "task.yaml", [task])
    given = ["--calibration-file", file, "--threshold", "-5"]
    _, lines = labelled(checkpoint, [("/lens", shot(0))], tmp_path, *given)
    assert float(lines[0]["success_threshold"]) == -5.0


def test_a_threshold_below_the_calibrations_is_warned_of(checkpoint, tmp_path, capsys):
    file = write_calibration(checkpoint, tmp_path / "task.yaml", ["go"])
    given = ["--calibration-file", file, "--threshold", "-10"]
    status, _ = labelled(checkpoint, [("/lens", shot(0))], tmp_path, *given)
    assert status == 0
    assert "-10 nat, below the calibrated -9.5" in capsys.readouterr().err


def test_a_calibration_is_refused_for_another_setup_and_not_used_for_another_task(
    checkpoint, tmp_path, capsys
):
    file = write_calibration(checkpoint, tmp_path / "task.yaml", ["open the drawer"])
    messages = [("/lens", shot(k)) for k in range(3)]
    given = ["--calibration-file", file]
    status, lines = labelled(checkpoint, messages, tmp_path, *given)
    assert status == 0 and {line["success_threshold"] for line in lines} == {""}
    assert 'label: The calibration has no task "go"' in capsys.readouterr().err
    (tmp_path / "again").mkdir()
    given += ["--motion-threshold", "5", "--window", "2"]
    assert labelled(checkpoint, messages, tmp_path / "again", *given)[0] == 1
    told = capsys.readouterr().err
    assert "the motion threshold was 4.0, now 5.0" in told
    assert "the success window was 3, now 2" in told


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
    (own / "topreward.json").write_text('{"success_threshold": -1.5, "motion_threshold": 4.0}')
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
        (["VIDEO", "--instruction", "go", "--model", "MODEL", "--layout", "pile"], "'pile'"),
        (["VIDEO", "--instruction", "go", "--hold", "-1"], "success hold is -1.0"),
        (["VIDEO", "--instruction", "go", "--calibration-file", "/nowhere"], "cannot be read"),
        (["VIDEO", "--instruction", "go", "--fps", "-1"], "frame rate"),
    ],
)
def test_what_cannot_be_labelled_gives_one_sentence(checkpoint, video, arguments, reason, capsys):
    named = {"VIDEO": str(video), "MODEL": checkpoint}
    assert main([named.get(argument, argument) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert "Traceback" not in error


def test_statements_are_columns_beside_the_readings(checkpoint, video, tmp_path, capsys):
    plain, output = tmp_path / "plain.csv", tmp_path / "labels.csv"
    arguments = [str(video), "--instruction", "go", "--model", checkpoint, "--output"]
    stages = ["grasp | stage | -999 | the gripper holds it", "place | stage | it lies there"]
    assert main([*arguments, str(plain)]) == 0
    assert main([*arguments, str(output), "--statements", *stages]) == 0
    rows, alone = (list(csv.DictReader(file.open())) for file in (output, plain))
    for row, same in zip(rows, alone, strict=True):
        assert float(row["log_prob"]) == pytest.approx(float(same["log_prob"]), abs=1e-5)
    assert [row["stage"] for row in rows] == ["grasp"] * 4 + ["place"] * 2
    assert [row["grasp.held"] for row in rows] == ["False"] * 4 + ["True"] * 2
    expected = [
        reading.log_prob
        for reading in score_recording(
            load_scorer(checkpoint), open_recording(video), "it lies there"
        )
    ]
    assert [float(row["place.log_prob"]) for row in rows] == pytest.approx(expected, abs=1e-5)
    assert "grasp.held" not in alone[0]
    for wrong, why in ((["x"], "has 1 part(s)"), ([stages[0], "--bag", "b"], "goes with no --bag")):
        with pytest.raises(SystemExit):
            main([*arguments, str(output), "--statements", *wrong])
        assert why in capsys.readouterr().err
