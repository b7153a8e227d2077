"""Rules of the command `calibrate`, from labelled bags through a real model to the file.

The model has random weights, chosen so that its log-prob rises more for a picture that stays dark
("success") than for one that grows bright ("failure"). That is enough to calibrate. A square moves,
so that each frame shows something new.
"""

from __future__ import annotations

import csv
import json
import math
import shutil
import signal
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from camera_bags import raw_image, write_image_bag
from PIL import Image as Picture
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from warm_processes import WarmProcess

from topreward_ros.method.calibration import CalibrationMismatch, ScoringSetup
from topreward_ros.method.calibration_file import load_calibration
from topreward_ros.method.statements import parse_statements
from topreward_ros.method.success import SuccessSettings
from topreward_ros.offline.calibrate import main
from topreward_ros.offline.labelled_recordings import (
    LabelledRecording,
    LabelsError,
    label_paths,
    read_labels,
)
from topreward_ros.offline.recording_digest import recording_digest
from topreward_ros.offline.score_file import ScoreFile
from topreward_ros.video.intake import IntakeSettings
from topreward_ros.video.recordings.opening import open_recording

TASK = "put the red cube"
OTHER_TASK = "put the red cube in the cup"
FAILURES, SUCCESSES = 22, 4
PROMISE = ["--false-stop-rate", "0.1", "--confidence", "0.9"]
WEAK = ["--false-stop-rate", "0.9", "--confidence", "0.1"]
"""A promise for which one failure is enough."""
STORE = get_typestore(Stores.ROS2_JAZZY)
IMAGE = "sensor_msgs/msg/Image"


def write_bag(path, seed, success, topic="/camera/image_raw", frames=8, more_topics=()):
    header = STORE.types["std_msgs/msg/Header"]
    stamp = STORE.types["builtin_interfaces/msg/Time"]
    rng = np.random.default_rng(seed)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = [
            writer.add_connection(name, IMAGE, typestore=STORE) for name in (topic, *more_topics)
        ]
        for index in range(frames):
            brightness = 0 if success else 28 * index
            pixels = rng.integers(0, 30, (64, 64, 3)).astype(np.uint8) + np.uint8(brightness)
            pixels[6 * index : 6 * index + 16, 6 * index : 6 * index + 16] ^= 128
            when = stamp(sec=1_764_000_000 + index // 2, nanosec=500_000_000 * (index % 2))
            message = STORE.types[IMAGE](
                header=header(stamp=when, frame_id="optical"), height=64, width=64,
                encoding="rgb8", is_bigendian=0, step=192, data=pixels.reshape(-1),
            )  # fmt: skip
            nanoseconds = when.sec * 10**9 + when.nanosec
            for connection in connections:
                writer.write(connection, nanoseconds, STORE.serialize_cdr(message, IMAGE))
    return path


def write_labels(folder, rows, columns=("path", "instruction", "success")):
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    pytest.importorskip("transformers", reason="the models extra is not installed")
    from checkpoints import write_qwen3_vl

    from topreward_ros.models.checkpoints.loading import load_scorer
    from topreward_ros.offline.labels import score_recording

    folder = tmp_path_factory.mktemp("probe")
    bags = [open_recording(write_bag(folder / str(k), k, k < 2)) for k in range(4)]
    for seed in range(20):
        path = write_qwen3_vl(folder / f"checkpoint_{seed}", seed=seed)
        scorer = load_scorer(str(path), device="cpu", frame_size=(64, 64))
        curves = [[one.log_prob for one in score_recording(scorer, bag, TASK)] for bag in bags]
        ends = np.mean(curves, axis=1, where=np.arange(8) > 4)
        if ends[:2].min() > max(ends[2:].max(), max(curve[0] for curve in curves)) + 0.3:
            return path
    raise AssertionError("Not one of 20 random models tells dark from bright.")


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    """A folder of labelled bags, the label being that of the module's docstring."""
    folder = tmp_path_factory.mktemp("episodes")
    rows = []
    for seed in range(FAILURES + SUCCESSES):
        success = seed >= FAILURES
        write_bag(folder / f"episode_{seed:03d}", seed, success)
        rows.append((f"episode_{seed:03d}", TASK, int(success)))
    return write_labels(folder, rows)


def model_arguments(checkpoint):
    return ["--model", str(checkpoint), "--device", "cpu", "--frame-size", "64", "64"]


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory, checkpoint, episodes):
    output = tmp_path_factory.mktemp("calibrated")
    arguments = [str(episodes), *model_arguments(checkpoint), *PROMISE, "--output", str(output)]
    assert main(arguments) == 0
    return output


@pytest.mark.slow
def test_labelled_bags_become_a_calibration_that_separates_them(calibrated):
    calibration = load_calibration(calibrated / "calibration.yaml")
    task = calibration.for_instruction(TASK)
    assert (task.failures, task.successes, task.false_stops) == (FAILURES, SUCCESSES, 0)
    assert task.detection_rate.value == task.auc.value == 1.0
    assert task.floor <= task.threshold < 0.0
    assert task.floor < task.ceiling < 0.0
    assert task.longest_failure == 3.5


def test_the_calibration_is_accepted_by_a_node_with_the_same_model_and_no_other(
    calibrated, checkpoint
):
    from topreward_ros.models.checkpoints.loading import load_scorer

    calibration = load_calibration(calibrated / "calibration.yaml")
    scorer = load_scorer(str(checkpoint), device="cpu", frame_size=(64, 64))
    setup = ScoringSetup(
        scorer.name, scorer.fingerprint, scorer.prompt_form.value, scorer.frame_size,
        scorer.sample_rate, cameras=1, layout="row", camera_max_age=0.5, max_pairs=64,
        backend="local float32", motion_threshold=4.0,
    )  # fmt: skip
    calibration.check(setup, SuccessSettings())
    larger = load_scorer(str(checkpoint), device="cpu", frame_size=(96, 96))
    assert larger.fingerprint != scorer.fingerprint
    with pytest.raises(CalibrationMismatch, match="model"):
        calibration.check(replace(setup, fingerprint=larger.fingerprint), SuccessSettings())


@pytest.mark.slow
def test_new_episodes_are_stopped_as_promised(calibrated, checkpoint, tmp_path):
    from topreward_ros.episode_settings import EpisodeSettings
    from topreward_ros.models.checkpoints.loading import load_scorer
    from topreward_ros.offline.labels import score_recording

    calibration = load_calibration(calibrated / "calibration.yaml")
    threshold = calibration.for_instruction(TASK).threshold
    settings = EpisodeSettings(replace(calibration.detector, threshold=threshold))
    scorer = load_scorer(str(checkpoint), device="cpu", frame_size=(64, 64))
    for seed in range(1000, 1010):
        success = seed % 2 == 0
        recording = open_recording(write_bag(tmp_path / str(seed), seed, success))
        readings = list(score_recording(scorer, recording, TASK, settings))
        assert readings[-1].success == success


def test_figures_and_picture_show_what_the_file_says(calibrated):
    task = load_calibration(calibrated / "calibration.yaml").tasks[0]
    figures = json.loads((calibrated / "calibration.json").read_text(encoding="utf-8"))["tasks"][0]
    assert figures["threshold"] == task.threshold
    above = [one["success"] for one in figures["episodes"] if one["level"] > task.threshold]
    assert above == [True] * SUCCESSES
    assert figures["roc"]["successes_detected"][-1] == 1.0
    picture = np.asarray(Picture.open(calibrated / "calibration.png").convert("RGB"))
    assert picture.shape == (552, 1560, 3)
    # Failures and successes are both in it: pixels that are clearly red, and clearly green.
    red, green = picture[..., 0].astype(int), picture[..., 1].astype(int)
    assert (red - green > 60).sum() > 200
    assert (green - red > 60).sum() > 200


def test_fresh_episodes_confirm_a_calibration_and_mislabelled_ones_contradict_it(
    calibrated, checkpoint, tmp_path, capsys
):
    fresh = [(write_bag(tmp_path / str(k), 2000 + k, k > 4).name, k > 4) for k in range(8)]
    arguments = [str(tmp_path), *model_arguments(checkpoint), "--output", str(tmp_path / "out"),
                 "--verify", str(calibrated / "calibration.yaml")]  # fmt: skip
    write_labels(tmp_path, [(name, TASK, int(success)) for name, success in fresh])
    assert main(arguments) == 0
    report = capsys.readouterr().err
    assert "not contradicted" in report
    assert "5 fresh failures called a success: 0.0%" in report
    assert "3 fresh successes detected: 100.0%" in report
    write_labels(tmp_path, [(name, TASK, 0) for name, _ in fresh])
    assert main(arguments) == 1
    assert "CONTRADICTED" in capsys.readouterr().err
    figures = json.loads((tmp_path / "out" / "verification.json").read_text(encoding="utf-8"))
    assert figures["tasks"][0]["contradicted"]
    assert figures["tasks"][0]["false_stop_rate"]["value"] == 3 / 8
    assert not (tmp_path / "out" / "calibration.yaml").exists()


def test_a_calibration_of_another_frame_setting_is_refused_before_anything_is_scored(
    calibrated, checkpoint, episodes, tmp_path, capsys
):
    arguments = [
        str(episodes), *model_arguments(checkpoint), "--output", str(tmp_path / "out"),
        "--verify", str(calibrated / "calibration.yaml"), "--sample-rate", "4",
    ]  # fmt: skip
    assert main(arguments) == 1
    assert "sample rate was 2.0, now 4.0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_finished_episodes_are_not_scored_again(calibrated, checkpoint, episodes, tmp_path):
    scores = tmp_path / "scores.jsonl"
    marked = lines(calibrated / "scores.jsonl")
    # A score that no model gives shows where the numbers come from.
    marked[1] = json.dumps(json.loads(marked[1]) | {"log_probs": [-55.0] * 8})
    scores.write_text("\n".join(marked) + "\n", encoding="utf-8")
    arguments = [str(episodes), *model_arguments(checkpoint), *PROMISE, "--output", str(tmp_path)]
    assert main(arguments) == 0
    assert lines(scores) == marked
    figures = json.loads((tmp_path / "calibration.json").read_text(encoding="utf-8"))
    assert figures["tasks"][0]["episodes"][0]["level"] == -55.0


def test_too_few_failures_are_refused_with_the_number_and_write_no_calibration(
    calibrated, checkpoint, episodes, tmp_path, capsys
):
    (tmp_path / "scores.jsonl").write_bytes((calibrated / "scores.jsonl").read_bytes())
    arguments = [str(episodes), *model_arguments(checkpoint), "--output", str(tmp_path)]
    assert main(arguments) == 1
    refusal = capsys.readouterr().err
    assert "at least 59 labelled failures" in refusal
    assert "record 37 more" in refusal
    assert not (tmp_path / "calibration.yaml").exists()


@pytest.mark.parametrize(
    ("failures", "successes", "sentence"),
    [(3, 1, "has 1 labelled success; at least 2"), (3, 5, "at least 22 labelled failures")],
)
def test_what_the_labels_cannot_give_is_refused_before_a_model_is_loaded(
    tmp_path, capsys, failures, successes, sentence
):
    """Not after minutes of scoring."""
    tasks = (TASK, OTHER_TASK)
    rows = []
    for number, task in enumerate(tasks):
        for index in range(failures + successes):
            name = f"{number}_{index}"
            (tmp_path / name).mkdir()
            rows.append((name, task, int(index >= failures)))
    arguments = [str(write_labels(tmp_path, rows)), "--model", "/no/model", *PROMISE]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 1
    refusal = capsys.readouterr().err
    assert sentence in refusal and TASK in refusal
    assert "--pool takes all 2 instructions as one task" in refusal
    assert not (tmp_path / "out").exists()


def test_a_threshold_that_misses_most_successes_is_warned_of(
    calibrated, checkpoint, episodes, tmp_path, capsys
):
    scored = lines(calibrated / "scores.jsonl")
    scored[1] = json.dumps(json.loads(scored[1]) | {"log_probs": [-0.5] * 8})
    (tmp_path / "scores.jsonl").write_text("\n".join(scored) + "\n", encoding="utf-8")
    arguments = [str(episodes), *model_arguments(checkpoint), *PROMISE, "--output", str(tmp_path)]
    assert main(arguments) == 0
    assert load_calibration(tmp_path / "calibration.yaml").tasks[0].threshold == -0.5
    report = capsys.readouterr().err
    assert "Successes detected: 0.0%" in report
    assert "0 of 22 may lie above it." in report
    assert "fresh failures only, their number fixed beforehand (1 may lie above with 38)" in report


@pytest.mark.slow
def test_another_limit_on_pairs_scores_anew(calibrated, checkpoint, episodes, tmp_path, capsys):
    (tmp_path / "scores.jsonl").write_bytes((calibrated / "scores.jsonl").read_bytes())
    arguments = [
        str(episodes), *model_arguments(checkpoint), *PROMISE, "--output", str(tmp_path),
        "--max-pairs", "4",
    ]  # fmt: skip
    main(arguments)  # whether a random model is fit to be calibrated so is not asked here
    assert "scoring anew" in capsys.readouterr().err
    head = json.loads(lines(tmp_path / "scores.jsonl")[0])
    assert (head["max_pairs"], head["cameras"], head["layout"]) == (4, 1, "row")


def test_recordings_with_different_numbers_of_cameras_are_refused_by_name(
    checkpoint, tmp_path, capsys
):
    write_bag(tmp_path / "one", 1, True)
    write_bag(tmp_path / "two", 2, False, more_topics=("/wrist/image_raw",))
    write_bag(tmp_path / "three", 3, True)
    write_labels(tmp_path, [("one", TASK, 1), ("two", TASK, 0), ("three", TASK, 1)])
    model = model_arguments(checkpoint)
    arguments = [str(tmp_path), *model, *WEAK, "--output", str(tmp_path / "out")]
    assert main(arguments) == 1
    refusal = capsys.readouterr().err
    assert "two has 2 image topics" in refusal
    assert "--cameras" in refusal


@pytest.mark.slow
def test_other_settings_score_anew(calibrated, checkpoint, episodes, tmp_path, capsys):
    (tmp_path / "scores.jsonl").write_bytes((calibrated / "scores.jsonl").read_bytes())
    arguments = [
        str(episodes), *model_arguments(checkpoint), *PROMISE, "--output", str(tmp_path),
        "--sample-rate", "1.0",
    ]  # fmt: skip
    main(arguments)  # whether a random model is fit at this rate too is not asked here
    assert "scoring anew" in capsys.readouterr().err
    assert len(lines(tmp_path / "scores.jsonl")) == 1 + FAILURES + SUCCESSES
    assert len(json.loads(lines(tmp_path / "scores.jsonl")[1])["log_probs"]) == 4


def test_recordings_can_be_listed_without_a_labels_file(
    calibrated, checkpoint, episodes, tmp_path, capsys
):
    bags = [str(episodes / f"episode_{index:03d}") for index in range(FAILURES + SUCCESSES)]
    (tmp_path / "scores.jsonl").write_bytes((calibrated / "scores.jsonl").read_bytes())
    arguments = [
        "--instruction", TASK, "--failures", *bags[:FAILURES], "--successes", *bags[FAILURES:],
        *model_arguments(checkpoint), *PROMISE, "--output", str(tmp_path),
    ]  # fmt: skip
    assert main(arguments) == 0
    listed = load_calibration(tmp_path / "calibration.yaml").tasks
    assert listed == load_calibration(calibrated / "calibration.yaml").tasks


@pytest.mark.live
def test_ctrl_c_keeps_what_is_done_and_the_next_run_goes_on(checkpoint, episodes, tmp_path):
    scores = tmp_path / "scores.jsonl"
    command = [sys.executable, "-m", "topreward_ros.commands", "calibrate", str(episodes),
               *model_arguments(checkpoint), *PROMISE, "--output", str(tmp_path)]  # fmt: skip
    said = tmp_path / "said.log"
    first = WarmProcess(command, output=said)
    deadline = time.monotonic() + 300
    while not (scores.exists() and len(lines(scores)) > 3):
        assert first.poll() is None, said.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    code, errors = first.wait(60), said.read_text()
    assert code == 130, errors
    assert "goes on from there" in errors
    assert "Traceback" not in errors
    done = lines(scores)
    assert 3 < len(done) <= FAILURES + SUCCESSES
    assert main(command[4:]) == 0
    assert lines(scores)[: len(done)] == done
    assert len(lines(scores)) == 1 + FAILURES + SUCCESSES


def test_a_damaged_recording_is_named(checkpoint, tmp_path, capsys):
    write_bag(tmp_path / "good", 1, True)
    write_bag(tmp_path / "too", 2, True)
    (tmp_path / "bad.mcap").write_bytes(b"no bag")
    write_labels(tmp_path, [("good", TASK, 1), ("bad.mcap", TASK, 0), ("too", TASK, 1)])
    model = model_arguments(checkpoint)
    arguments = [str(tmp_path), *model, *WEAK, "--output", str(tmp_path / "out")]
    assert main(arguments) == 1
    refusal = capsys.readouterr().err
    assert "bad.mcap" in refusal
    assert "Traceback" not in refusal
    assert len(lines(tmp_path / "out" / "scores.jsonl")) == 2


def test_a_recording_without_readings_does_not_count(checkpoint, tmp_path, capsys):
    for number, name in enumerate(("good", "done"), start=1):
        write_bag(tmp_path / name, number, False, more_topics=("/other",))
    pixels = np.zeros((64, 64, 3), np.uint8)
    apart = [("/camera/image_raw", raw_image(10**18, pixels)), ("/other", raw_image(10**9, pixels))]
    write_image_bag(tmp_path / "apart", apart)
    write_labels(tmp_path, [("apart", TASK, 1), ("done", TASK, 1), ("good", TASK, 0)])
    arguments = [
        str(tmp_path),
        *model_arguments(checkpoint),
        *WEAK,
        "--output",
        str(tmp_path / "out"),
    ]
    assert main(arguments) == 1
    refusal = " ".join(capsys.readouterr().err.split())
    assert "apart gives no reading" in refusal


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,success\nbag,1\n", "lacks the column instruction"),
        ("", "lacks the column path"),
        ("path,instruction,success\n", "labels no recording"),
        ("path,instruction,success\nbag,pick,maybe\n", 'line 2: success is "maybe"'),
        ("path,instruction,success\nabsent,pick,1\n", "line 2: there is no recording .*absent"),
        ("path,instruction,success\n,pick,1\n", "line 2: the path is empty"),
        ("path,instruction,success\nbag,,1\n", "line 2: The instruction is empty"),
        ("path,instruction,success\nbag\n", 'line 2: success is "None"'),
        (
            "path,instruction,success\nbag,pick,0\nbag,place,0\n./alias,pick,0\n",
            "line 4: .*alias is labelled in line 2 already, for the same instruction",
        ),
        (
            "path,instruction,success\nbag,pick,0\nalias/../bag,pick,1\n",
            "line 3: .*bag is labelled a success, and a failure in line 2",
        ),
    ],
)
def test_labels_that_cannot_be_used_are_refused_by_line(tmp_path, text, sentence):
    (tmp_path / "bag").mkdir()
    (tmp_path / "alias").symlink_to("bag")
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    with pytest.raises(LabelsError, match=sentence):
        read_labels(tmp_path)


def test_labels_are_read_in_every_usual_spelling(tmp_path):
    words = {"1": True, "TRUE": True, "yes": True, "0": False, "False": False, " failure": False}
    for index in range(len(words)):
        (tmp_path / f"bag_{index}").mkdir()
    write_labels(
        tmp_path,
        [(f"bag_{index}", f" {TASK} ", word, "extra") for index, word in enumerate(words)],
        ("path", "instruction", "success", "note"),
    )
    read = read_labels(tmp_path / "labels.csv")
    assert [one.success for one in read] == list(words.values())
    assert {one.instruction for one in read} == {TASK}
    assert [one.path.name for one in read] == [f"bag_{index}" for index in range(len(words))]
    with pytest.raises(LabelsError, match="cannot be read"):
        read_labels(tmp_path / "other.csv")


def test_a_listed_recording_that_is_there_twice_is_refused(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    one, other = tmp_path / "a", tmp_path / "b"
    with pytest.raises(LabelsError, match=r"recording 3: .*a is labelled a failure"):
        label_paths([one, other], [one], TASK)
    with pytest.raises(LabelsError, match=r"recording 2: .*a is labelled in recording 1 already"):
        label_paths([], [one, one, other], TASK)


def test_a_recording_is_known_by_its_messages_wherever_it_lies(tmp_path):
    bag = write_bag(tmp_path / "bag", 0, True)
    copy = tmp_path / "other" / "name"
    shutil.copytree(bag, copy)
    (copy / "notes.txt").write_text("moved")
    (file,) = copy.glob("*.mcap")
    file.rename(copy / "another.mcap")
    assert recording_digest(copy) == recording_digest(bag)
    assert recording_digest(copy / "another.mcap") == recording_digest(bag)
    assert recording_digest(write_bag(tmp_path / "next", 1, True)) != recording_digest(bag)


@pytest.mark.slow
def test_a_copy_of_a_failure_does_not_count_as_another(
    calibrated, checkpoint, episodes, tmp_path, capsys
):
    folder = tmp_path / "episodes"
    shutil.copytree(episodes, folder)
    shutil.copytree(folder / "episode_000", folder / "copy")
    with (folder / "labels.csv").open("a") as file:
        file.write(f"copy,{TASK},0\n")
    arguments = [str(folder), *model_arguments(checkpoint), *PROMISE, "--output", str(tmp_path)]
    assert main(arguments) == 1
    refusal = capsys.readouterr().err
    assert "are the same recording" in refusal
    assert "episode_000 and " in refusal
    assert not (tmp_path / "calibration.yaml").exists()


def test_recordings_that_a_calibration_was_made_from_do_not_verify_it(
    calibrated, checkpoint, episodes, tmp_path, capsys
):
    shutil.copytree(episodes / "episode_003", tmp_path / "renamed")
    write_bag(tmp_path / "fresh", 3000, False)
    write_labels(tmp_path, [("fresh", TASK, 0), ("renamed", TASK, 0)])
    arguments = [str(tmp_path), *model_arguments(checkpoint), "--output", str(tmp_path / "out"),
                 "--verify", str(calibrated / "calibration.yaml")]  # fmt: skip
    assert main(arguments) == 1
    refusal = capsys.readouterr().err
    assert "renamed is one of the recordings that the calibration was made from" in refusal
    assert not (tmp_path / "out").exists()


def test_a_score_belongs_to_the_bytes_and_the_instruction_it_was_made_from(tmp_path):
    recording = LabelledRecording(write_bag(tmp_path / "bag", 0, True), TASK, True)
    path = tmp_path / "scores.jsonl"
    with ScoreFile(path, {"model": "a"}) as scores:
        scores.add(recording, [-1.0, math.nan], [0.0, 0.5], [True, False])
    with path.open("a") as file:
        file.write('{"key": "torn')
    with ScoreFile(path, {"model": "a"}) as scores:
        assert not scores.outdated
        kept = scores.episode(replace(recording, success=False))
        assert kept.episode_times == (0.0, 0.5)
        assert math.isnan(kept.log_probs[1])
        assert not kept.success
        assert scores.episode(replace(recording, instruction=OTHER_TASK)) is None
        scores.add(replace(recording, instruction=OTHER_TASK), [-2.0], [0.0], [True])
    with ScoreFile(path, {"model": "a"}) as scores:
        assert scores.episode(replace(recording, instruction=OTHER_TASK)).log_probs == (-2.0,)
        next((tmp_path / "bag").glob("*.mcap")).write_bytes(b"recorded anew")
        assert scores.episode(recording) is None
    with ScoreFile(path, {"model": "b"}) as scores:
        assert scores.outdated
        assert len(lines(path)) == 1


@pytest.mark.parametrize(
    "arguments", [[], ["folder", "--successes", "bag"], ["folder", "--window", "three"]]
)
def test_a_wrong_command_line_is_explained(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "calibrate: error:" in capsys.readouterr().err


def test_help_shows_the_labels_file_and_examples(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert "path,instruction,success" in shown
    assert "59 for 5 % at 95 %" in shown
    assert "Fix their number before you see a threshold" in shown
    assert "confidence is that of each instruction by itself, not of all of them" in " ".join(
        shown.split()
    )


@pytest.mark.slow
def test_one_file_holds_a_task_and_statements_of_the_same_recordings(
    checkpoint, episodes, tmp_path
):
    """Each statement is labelled by itself: a line for each recording and text."""
    from topreward_ros.episode_settings import asked_statement
    from topreward_ros.models.checkpoints.loading import load_scorer

    texts, kept = (TASK, "put red cube"), range(FAILURES - 1, FAILURES + 2)
    rows = [
        (episodes / f"episode_{seed:03d}", text, int(seed >= FAILURES))
        for text in texts
        for seed in kept
    ]
    arguments = [str(write_labels(tmp_path, rows)), *model_arguments(checkpoint), *WEAK]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    calibration = load_calibration(tmp_path / "out" / "calibration.yaml")
    assert [task.instructions for task in calibration.tasks] == [(text,) for text in texts]
    scorer = load_scorer(str(checkpoint), device="cpu", frame_size=(64, 64))
    given = (scorer, IntakeSettings(sample_rate=2.0), SuccessSettings(), calibration)
    for task, text in zip(calibration.tasks, texts, strict=True):
        (statement,) = parse_statements([f"it | failure | {text}"])
        judged, warning = asked_statement(*given, statement)
        assert judged.success.threshold == task.threshold and not warning
        assert judged.success.max_time == task.longest_failure
        assert (judged.progress.floor, judged.progress.ceiling) == (task.floor, task.ceiling)
    (unknown,) = parse_statements(["it | failure | drop the cube"])
    judged, warning = asked_statement(*given, unknown)
    assert judged.success.threshold is None and "ends no episode" in warning
