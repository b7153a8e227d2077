"""`evaluate` and `calibrate` take the episodes of one bag as they take recordings of their own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from calibration_files import write_calibration
from camera_bags import NANO, event, raw_image, write_bag

from topreward_ros.offline.calibrate import main as calibrate
from topreward_ros.offline.evaluation.command import main as evaluate
from topreward_ros.offline.label import main as label

START, EVENTS, LENS = 1_764_000_000 * NANO, "/reward_node/event", "/lens"


def shot(second, topic=LENS):
    pixels = np.random.default_rng(round(second * 10)).integers(0, 256, (48, 64, 3), np.uint8)
    after = round(second * NANO)
    return START + after, topic, raw_image(START + after, pixels)


def told(second, kind, name, **values):
    after = START + round(second * NANO)
    return after, EVENTS, event(kind, name, "open the drawer", after, **values)


def ended(second, name, outcome, reason="stopped"):
    values = {"outcome": outcome, "termination_reason": reason, "duration": 3.9}
    return told(second, "stopped", name, **values)


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Twelve seconds of pictures, and three episodes of four seconds in them."""
    messages = [shot(k / 4) for k in range(48)]
    messages += [told(4 * k - 0.05, "started", name) for k, name in enumerate(("aa", "bb", "cc"))]
    messages += [ended(3.85, "aa", "success"), ended(7.85, "bb", "failure"),
                 ended(11.85, "cc", "success", "success")]  # fmt: skip
    folder = tmp_path_factory.mktemp("bags")
    return write_bag(folder / "morning", sorted(messages, key=lambda one: one[0]))


@pytest.mark.slow
def test_evaluate_takes_the_outcomes_that_people_gave(bag, small, tmp_path, capsys):
    given = ["--model", small, "--device", "cpu", "--no-matrix", "--controls"]
    assert evaluate([str(bag), *given, "--output", str(tmp_path / "report")]) == 0
    report = json.loads((tmp_path / "report/report.json").read_text())
    found = {one["name"]: one["success"] for one in episodes(report)}
    assert found == {"aa": True, "bb": False, "cc": None}
    assert "the outcome of 1 episode(s) is what the model itself said" in capsys.readouterr().err


def episodes(report):
    """The first list in it whose entries have a name and a success."""
    if isinstance(report, list) and report and isinstance(report[0], dict):
        if {"name", "success"} <= set(report[0]):
            return report
        report = {str(k): one for k, one in enumerate(report)}
    if isinstance(report, dict):
        for value in report.values():
            if found := episodes(value):
                return found
    return None


@pytest.mark.slow
def test_calibrate_takes_spans_and_never_as_fresh_what_shares_a_picture(
    bag, small, tmp_path, capsys
):
    given = [str(tmp_path), "--model", small, "--device", "cpu", "--output", str(tmp_path / "out")]

    def spans(*lines):
        """Lines of start, end (s since the first picture) and success."""
        second = START // NANO
        rows = [f"{bag},open,{ok},{second + start},{second + end}" for start, end, ok in lines]
        text = "\n".join(["path,instruction,success,start,end", *rows])
        (tmp_path / "labels.csv").write_text(text + "\n")

    spans((0, 3, 0), (3, 6, 1), (6, 9, 1))
    assert calibrate([*given, "--false-stop-rate", "0.9", "--confidence", "0.1"]) in (0, 1)
    lines = (tmp_path / "out/scores.jsonl").read_text().splitlines()
    assert len({json.loads(line)["digest"] for line in lines[1:]}) == 3
    verify = [*given, "--verify", calibration_of(lines, small, tmp_path)]
    for taken in [(0, 3, 0), (1, 2, 0), (8, 12, 0), (0, 12, 0)]:
        spans(taken)
        capsys.readouterr()
        assert calibrate(verify) == 1
        assert "one of the recordings that the calibration was made" in capsys.readouterr().err
    spans((9, 12, 0))
    capsys.readouterr()
    calibrate(verify)
    assert "one of the recordings" not in capsys.readouterr().err


def calibration_of(lines, model, folder):
    """A calibration that was made from these scores."""
    import yaml

    path = Path(write_calibration(model, folder / "task.yaml", ["open"]))
    told = yaml.safe_load(path.read_text())
    told["tasks"][0]["recordings"] = [json.loads(line)["digest"] for line in lines[1:]]
    path.write_text(yaml.safe_dump(told))
    return str(path)


@pytest.mark.parametrize("whole", [False, True])
def test_label_prints_the_one_episode_of_a_bag(bag, small, capsys, tmp_path, whole):
    messages = [shot(k / 4) for k in range(16)]
    messages += [told(0.9, "started", "aa"), ended(3.1, "aa", "success")]
    path = write_bag(tmp_path / "one", sorted(messages, key=lambda one: one[0]))
    given = ["--model", small, "--device", "cpu", "--instruction", "open"]
    assert label([str(path), *given, *(["--whole"] if whole else [])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + (8 if whole else 5)
