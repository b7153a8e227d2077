"""Whole sets are labelled: resumed to the byte, written whole, each as its readers want it."""

from __future__ import annotations

import csv
import signal
import sys
import time

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("torch")

import pyarrow.compute
import pyarrow.parquet as pq
from checkpoints import write_qwen3_vl
from lerobot_sets import CAMERA, picture, write_v30, write_video
from repository import ROOT
from warm_processes import WarmProcess

from topreward_ros.method.progress import episode_progress
from topreward_ros.method.reward import dense_rewards
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.offline.episodes.opening import open_source
from topreward_ros.offline.label import main
from topreward_ros.offline.labelling.episode_labels import COLUMNS
from topreward_ros.offline.labels import score_recording

TASKS = [["open the drawer"], ["close the drawer"], ["open the drawer"], ["close it"]]
LENGTHS = [33, 26, 21, 16]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(write_qwen3_vl(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_v30(tmp_path_factory.mktemp("sets") / "drawer", TASKS, LENGTHS)


def asked(dataset, checkpoint, folder):
    folder.mkdir(exist_ok=True)
    return [
        str(dataset), "--model", checkpoint, "--device", "cpu", "--no-motion-gate",
        "--output", str(folder / "readings.csv"), "--progress", str(folder / "progress.parquet"),
        "--weights", str(folder / "weights.parquet"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def labelled(dataset, checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    assert main(asked(dataset, checkpoint, folder)) == 0
    return folder


def curves(dataset, checkpoint):
    from topreward_ros.video.intake import IntakeSettings

    scorer = load_scorer(checkpoint, device="cpu")
    settings = IntakeSettings(sample_rate=scorer.sample_rate, motion_threshold=None)
    return [
        list(score_recording(scorer, each.open(), each.instruction, intake=settings))
        for each in open_source(dataset)
    ]


def test_the_readings_are_those_of_each_episode_alone(dataset, checkpoint, labelled):
    rows = list(csv.DictReader((labelled / "readings.csv").open()))
    assert tuple(rows[0]) == ("episode", *COLUMNS) and "model_time" not in rows[0]
    for number, readings in enumerate(curves(dataset, checkpoint)):
        mine = [row for row in rows if row["episode"] == f"episode_{number:06d}"]
        assert [float(row["log_prob"]) for row in mine] == [one.log_prob for one in readings]
        assert {row["instruction"] for row in mine} == {TASKS[number][0]}


def test_progress_has_a_row_for_every_frame_in_lerobots_form(dataset, checkpoint, labelled):
    table = pq.read_table(labelled / "progress.parquet")
    assert {field.name: str(field.type) for field in table.schema} == {
        "index": "int64", "episode_index": "int64", "frame_index": "int64",
        "progress_sparse": "float",
    }  # fmt: skip
    assert table.schema.metadata[b"vlm_name"].decode() == checkpoint
    assert table["index"].to_pylist() == list(range(sum(LENGTHS)))
    for number, readings in enumerate(curves(dataset, checkpoint)):
        mine = table.filter(pyarrow.compute.equal(table["episode_index"], number))
        assert mine["frame_index"].to_pylist() == list(range(LENGTHS[number]))
        values = episode_progress([one.log_prob for one in readings]).values
        expected = np.interp(
            1.0 + np.arange(LENGTHS[number]) / 10, [one.stamp for one in readings], values
        )
        np.testing.assert_allclose(mine["progress_sparse"].to_numpy(), expected, atol=1e-6)


def test_weights_are_the_papers_rewards_minus_the_mean_of_the_set(dataset, checkpoint, labelled):
    table = pq.read_table(labelled / "weights.parquet")
    assert table.column_names == ["index", "weight", "advantage"]
    expected = []
    for number, readings in enumerate(curves(dataset, checkpoint)):
        rewards = dense_rewards(episode_progress([one.log_prob for one in readings]).values)
        ends = [one.stamp for one in readings]
        for frame in range(LENGTHS[number]):
            step = next((k for k, end in enumerate(ends) if end >= 1.0 + frame / 10 - 1e-6),
                        len(ends) - 1)  # fmt: skip
            expected.append(rewards[step])
    advantage = np.array(expected) - np.mean(expected)
    np.testing.assert_allclose(table["advantage"].to_numpy(), advantage, atol=1e-6)
    np.testing.assert_allclose(table["weight"].to_numpy(), np.maximum(advantage, 0), atol=1e-6)


def test_the_line_for_lerobots_trainer_is_printed(dataset, checkpoint, tmp_path, capsys):
    assert main(asked(dataset, checkpoint, tmp_path)) == 0
    told = capsys.readouterr().err
    assert f"--sample_weighting.progress_path={tmp_path / 'progress.parquet'}" in told
    assert "--sample_weighting.type=rabc" in told and "not act or diffusion" in told


def test_killed_at_any_moment_the_same_command_goes_on_to_the_same_bytes(
    dataset, checkpoint, labelled, tmp_path
):
    command = [sys.executable, "-m", "topreward_ros.commands", "label"]
    command += asked(dataset, checkpoint, tmp_path)
    partial = tmp_path / "readings.csv.partial"
    for done in (1, 3):
        child = WarmProcess(command, cwd=ROOT)
        end = time.monotonic() + 120
        while len(list(partial.glob("*.episode.json"))) < done and child.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert not (tmp_path / "readings.csv").exists() or child.returncode == 0
    if partial.exists():
        assert main(asked(dataset, checkpoint, tmp_path)) == 0
    for name in ("readings.csv", "progress.parquet", "weights.parquet"):
        assert (tmp_path / name).read_bytes() == (labelled / name).read_bytes(), name
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "progress.parquet", "readings.csv", "weights.parquet",
    ]  # fmt: skip


def test_a_bad_episode_is_named_and_left_out_and_the_exit_status_says_so(
    checkpoint, tmp_path, capsys
):
    root = write_v30(tmp_path / "set", [["open"], [""], ["close"]], [13, 12, 11])
    assert main(asked(root, checkpoint, tmp_path / "out")) == 1
    told = capsys.readouterr().err
    assert "episode_000001 is left out: episode_000001 has no instruction" in told
    assert "1 of 3 episodes are left out; the others are written." in told
    rows = pq.read_table(tmp_path / "out/progress.parquet")
    assert set(rows["episode_index"].to_pylist()) == {0, 2}


def test_an_episode_of_one_frame_or_of_none_is_said_and_the_others_are_written(
    checkpoint, tmp_path, capsys
):
    root = write_v30(tmp_path / "set", [["open"], ["close"], ["push"]], [13, 1, 0])
    main(asked(root, checkpoint, tmp_path / "out"))
    told = capsys.readouterr().err
    assert "episode_000002 is left out" in told and "no frame" in told
    assert "episode_000001" in told
    table = pq.read_table(tmp_path / "out/progress.parquet").to_pydict()
    assert table["episode_index"] == [0] * 13 + [1]
    assert table["progress_sparse"][-1] == 0.0  # it says nothing


def test_an_instruction_in_another_script_is_asked_and_written_as_it_is(checkpoint, tmp_path):
    task = "把红色方块放进抽屉"
    root = write_v30(tmp_path / "set", [[task], ["открой ящик"]], [13, 12])
    assert main(asked(root, checkpoint, tmp_path / "out")) == 0
    with (tmp_path / "out/readings.csv").open(encoding="utf-8") as file:
        assert {row["instruction"] for row in csv.DictReader(file)} == {task, "открой ящик"}


def test_a_still_episode_is_zero_and_flagged_not_finished(checkpoint, tmp_path, capsys):
    root = write_v30(tmp_path / "set", [["open"]], [20])
    write_video(root / f"videos/{CAMERA}/chunk-000/file-000.mp4", [picture(0, 0)] * 20)
    arguments = [one for one in asked(root, checkpoint, tmp_path / "out")
                 if one != "--no-motion-gate"]  # fmt: skip
    assert main(arguments) == 0
    assert "constant, so that it says nothing; its progress is 0" in capsys.readouterr().err
    table = pq.read_table(tmp_path / "out/progress.parquet")
    assert set(table["progress_sparse"].to_pylist()) == {0.0}


def test_an_output_of_other_settings_is_named_and_not_mixed(dataset, checkpoint, tmp_path, capsys):
    from topreward_ros.offline.labelling.journal import opened_journal

    arguments = asked(dataset, checkpoint, tmp_path)
    partial = tmp_path / "readings.csv.partial"
    with pytest.raises(KeyboardInterrupt), opened_journal(partial, {"model": "another"}):
        raise KeyboardInterrupt
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert "was begun with other settings" in told and "remove that directory" in told


def test_two_runs_on_one_output_are_one_too_many(dataset, checkpoint, tmp_path, capsys):
    from topreward_ros.offline.labelling.journal import opened_journal

    with opened_journal(tmp_path / "readings.csv.partial", {}):
        assert main(asked(dataset, checkpoint, tmp_path)) == 1
    assert "Another run is writing this output" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "say what to write: --output for a CSV file"),
        (["--progress", "/nowhere/at/all.parquet"], "There is no folder /nowhere/at"),
        (["--output", __file__], "is there already; name another file, or give --overwrite"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_scored(
    dataset, capsys, arguments, sentence
):
    assert main([str(dataset), "--model", "demo", *arguments]) == 1
    assert sentence in capsys.readouterr().err


def test_a_full_disk_loses_nothing_and_is_one_sentence(dataset, checkpoint, tmp_path, capsys):
    from topreward_ros.offline.labelling import csv_file, whole_set

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_set, "write_csv", full)
        assert main(asked(dataset, checkpoint, tmp_path)) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "readings.csv").exists()
    assert len(list((tmp_path / "readings.csv.partial").glob("*.episode.json"))) == len(LENGTHS)
    assert csv_file.write_csv is whole_set.write_csv
    assert main(asked(dataset, checkpoint, tmp_path)) == 0
    assert "4 of 4 episodes are labelled already" in capsys.readouterr().err
