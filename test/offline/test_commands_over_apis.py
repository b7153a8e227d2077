"""`label`, `evaluate` and `calibrate` over a chat API, and what they say of censored scores."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("openai", reason="needs the extra `apis`")
pytest.importorskip("google.genai", reason="needs the extra `apis`")

from chat_api_server import KEY, answer, censored_below, chat_api
from test_calibrate_command import TASK, WEAK, write_bag, write_labels

from topreward_ros.method.calibrating import (
    CalibrationRefusedError,
    LabelledEpisode,
    calibrate,
)
from topreward_ros.method.calibration import ScoringSetup
from topreward_ros.method.conformal import FalseStopBound
from topreward_ros.method.success import SuccessSettings
from topreward_ros.method.unknown_scores import unknown_scores
from topreward_ros.offline.calibrate import main as calibrate_main
from topreward_ros.offline.evaluation.command import main as evaluate_main
from topreward_ros.offline.evaluation.figures import set_figures
from topreward_ros.offline.evaluation.scored_episode import ScoredEpisode
from topreward_ros.offline.label import main as label_main

NAN = math.nan
SETUP = ScoringSetup(
    model="m", fingerprint="f", backend="b", prompt="chat", frame_size=(32, 32), sample_rate=2.0,
    cameras=1, layout="row", camera_max_age=0.2, max_pairs=64, motion_threshold=None,
)  # fmt: skip


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    with chat_api() as served:
        yield served


@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bags")
    for number, success in enumerate((True, True, False)):
        write_bag(folder / f"bag_{number}", number, success)
    rows = [(f"bag_{n}", TASK, ("1", "1", "0")[n]) for n in range(3)]
    return write_labels(folder, rows)


def judge(first: int):
    """A model that sees dark pictures as done, and tells nothing of its first ones."""

    def value(asked) -> float | None:
        if asked.pictures < first:
            return None
        dark = asked.parts[-2].mean() < 40
        return -6.0 + (0.6 if dark else 0.05) * asked.pictures

    return answer(value)


def given(model: str) -> list[str]:
    return ["--model", model, "--frame-size", "32", "32", "--no-motion-gate"]


@pytest.mark.parametrize("engine", ["openai", "gemini"])
def test_label_writes_what_is_censored_into_a_column(api, bags, tmp_path, capsys, engine):
    api.always = censored_below(3)
    output = tmp_path / "labels.csv"
    model = getattr(api, engine)()
    arguments = [str(bags / "bag_0"), "--instruction", TASK, "--output", str(output)]
    assert label_main([*arguments, *given(model)]) == 0
    rows = list(csv.DictReader(output.open()))
    assert [row["censored"] for row in rows] == ["True"] * 2 + ["False"] * 6
    assert [row["log_prob"] for row in rows] == ["nan"] * 2 + ["-1.0"] * 6
    told = capsys.readouterr().err
    assert "2 of 8 log-probs, in 1 of 1 episodes, are censored" in " ".join(told.split())
    assert label_main([*arguments, "--overwrite", *given(model), "--prompt-form", "raw"]) == 1
    assert "set it to chat" in capsys.readouterr().err


@pytest.mark.slow
def test_evaluate_counts_what_is_censored_and_leaves_it_out(api, bags, tmp_path, capsys):
    api.always = judge(4)
    arguments = [str(bags), "--output", str(tmp_path), "--controls", "--no-matrix"]
    assert evaluate_main([*arguments, *given(api.openai())]) == 0
    sentence = "9 of 24 log-probs, in 3 of 3 episodes, are censored"
    assert sentence in capsys.readouterr().err
    assert sentence in (tmp_path / "report.md").read_text()
    told = json.loads((tmp_path / "report.json").read_text())["variants"][0]
    assert sentence in told["unknown"]
    assert told["figures"]["voc"]["undefined"] == 2, "a curve with a hole has no VOC"
    assert told["figures"]["auc"]["success score (last 3)"]["count"] == 3


@pytest.mark.slow
def test_calibrate_says_what_is_censored_and_names_the_backend(api, bags, tmp_path, capsys):
    api.always = judge(3)
    arguments = [str(bags), "--output", str(tmp_path / "out"), *WEAK]
    assert calibrate_main([*arguments, "--window", "2", "--hold", "0", *given(api.gemini())]) == 0
    assert "6 of 24 log-probs, in 3 of 3 episodes, are censored" in capsys.readouterr().err
    text = (tmp_path / "out" / "calibration.yaml").read_text()
    assert "gemini vision-1" in text and KEY not in text
    # Scores that are kept have their gaps still.
    assert calibrate_main([*arguments, "--window", "2", "--hold", "0", *given(api.gemini())]) == 0
    assert "6 of 24 log-probs" in capsys.readouterr().err


def test_a_calibration_whose_successes_end_unknown_is_refused():
    def episode(name: str, success: bool, *log_probs: float) -> LabelledEpisode:
        times = tuple(k / 2 for k in range(len(log_probs)))
        return LabelledEpisode(name, TASK, success, log_probs, times)

    detector, bound = SuccessSettings(window=2, hold=0.0), FalseStopBound(0.9, 0.1)
    failures = [episode("f", False, -5.0, -5.0, -5.0, -4.9)]
    known = episode("a", True, -5.0, -4.0, -2.0, -1.0)
    cut = [episode(name, True, -5.0, -4.0, NAN, NAN) for name in "bcd"]
    assert calibrate([known, known, cut[0], *failures], SETUP, detector, bound).tasks
    with pytest.raises(CalibrationRefusedError, match="2 of 3 successes end with log-probs that"):
        calibrate([known, *cut[:2], *failures], SETUP, detector, bound)


def test_figures_leave_out_what_has_no_score_and_count_it():
    def episode(name: str, grade: int, end: float, control: float) -> ScoredEpisode:
        curve = np.array([-5.0, -4.0, end])
        controls = {"reversed": np.array([-5.0, -5.0, control])}
        return ScoredEpisode(name, TASK, grade > 3, grade, (), np.arange(3) / 2, curve, controls)

    episodes = [
        episode("a", 5, -1.0, -5.0), episode("b", 4, -2.0, NAN), episode("c", 1, -4.0, -5.0),
        episode("d", 2, NAN, -5.0),
    ]  # fmt: skip
    figures = set_figures(episodes, SuccessSettings(threshold=-3.0, hold=0.0), 0.95)
    beaten = figures.controls["reversed"].beaten
    assert (beaten.count, beaten.undefined, beaten.interval.value) == (2, 2, 1.0)
    graded = figures.grades.correlation
    assert (graded.count, graded.undefined) == (3, 1)
    auc = figures.auc["success score (last 3)"]
    assert (auc.count, auc.undefined, auc.interval.value) == (3, 1, 1.0)
    nothing = [replace(each, log_probs=np.full(3, NAN)) for each in episodes]
    assert set_figures(nothing, SuccessSettings(), 0.95).grades is None


def test_where_every_log_prob_is_a_number_nothing_is_said():
    assert unknown_scores([[-1.0, -math.inf], []], censored=True) == ""
    assert "are no numbers" in unknown_scores([[-1.0, NAN]], censored=False)
