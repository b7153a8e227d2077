"""GVL in an evaluation: frames and labels belong together, and what nobody said is counted."""

from __future__ import annotations

import csv
import json
import math
import re

import numpy as np
import pytest
from PIL import Image
from repository import ROOT

from topreward_ros.method.metrics import success_auc
from topreward_ros.method.success import SuccessSettings
from topreward_ros.models.contract import Written
from topreward_ros.offline.evaluation.command import main
from topreward_ros.offline.evaluation.evaluation import Evaluation, Variant
from topreward_ros.offline.evaluation.figures import GVL_SCORE, set_figures
from topreward_ros.offline.evaluation.gvl import GvlAnswer, GvlSettings, ask_gvl
from topreward_ros.offline.evaluation.markdown import markdown
from topreward_ros.offline.evaluation.plots import draw_gvl, draw_roc
from topreward_ros.offline.evaluation.scored_episode import ScoredEpisode

TASK = "open the drawer"
NONE = SuccessSettings()


def brightening(count):
    """Frames of which each is as bright as it is late."""
    return [np.full((8, 8, 3), k, np.uint8) for k in range(count)]


class Onlooker:
    """Answers a turn by the brightness of the picture that stands after each label."""

    def __init__(self, form="Frame {number}: Task Completion Percentages:{value}%", last=99):
        self.form, self.last, self.turns = form, last, []

    def write(self, turn, limit):
        """Says of each labelled picture how bright it is, in percent of the last one."""
        self.turns.append(turn)
        said = []
        for text, picture in zip(turn[::2], turn[1::2], strict=True):
            label = re.search(r"Frame (\d+): $", text)
            if label:
                value = 100 * int(picture[0, 0, 0]) / self.last
                said.append(self.form.format(number=label[1], value=f"{value:.2f}"))
        return Written("\n".join(said), False)


@pytest.mark.parametrize("count", [2, 7, 15, 16, 100])
def test_a_model_that_sees_what_is_shown_is_read_in_time_order(count):
    writer = Onlooker(last=count - 1)
    answer = ask_gvl(writer, "one", TASK, brightening(count), GvlSettings())
    assert len(answer.frames) == min(count, 15)
    few = ask_gvl(writer, "one", TASK, brightening(count), GvlSettings(frames=5))
    assert len(few.frames) == min(count, 5)
    assert answer.frames[0] == 0 and answer.frames[-1] == count - 1
    assert answer.percentages == pytest.approx(100 * answer.frames / (count - 1), abs=0.01)
    assert answer.voc == pytest.approx(1.0)
    first = writer.turns[0]
    assert first[0].endswith("Initial robot scene: ") and not first[1].any()
    shown = [int(picture[0, 0, 0]) for picture in first[3::2]]
    assert shown == answer.frames[answer.order].tolist()


def test_the_order_is_the_seeds_and_the_episodes():
    def orders(seed, name="one"):
        return ask_gvl(Onlooker(), name, TASK, brightening(100), GvlSettings(seed)).order.tolist()

    assert orders(1) == orders(1) != orders(2)
    assert orders(1) != orders(1, "another")


def test_an_answer_that_was_cut_off_says_so():
    answer = ask_gvl(Onlooker("Frame {number}:"), "one", TASK, brightening(9), GvlSettings())
    assert answer.percentages is None and math.isnan(answer.voc)
    assert answer.reason == "frame 1 has no number; it was cut off after 2048 tokens"


@pytest.mark.parametrize("settings", [(-1, 10), (1, 0)])
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(ValueError, match="the seed must be 0 or more"):
        GvlSettings(*settings)


# --- figures ---------------------------------------------------------------------------------


def scored(name, percentages, success=None, reason=""):
    times = np.arange(20) / 2
    frames = np.arange(0, 20, 2)
    told = None if percentages is None else np.asarray(percentages, dtype=float)
    order = np.random.default_rng(len(name)).permutation(10)
    answer = GvlAnswer(frames, order, "Frame 1: | I\n don't know", told, reason)
    log_probs = np.linspace(-9, -1, 20)
    return ScoredEpisode(name, TASK, success, None, (), times, log_probs, gvl=answer)


RISING, FALLING, FLAT = np.linspace(0, 100, 10), np.linspace(80, 5, 10), np.full(10, 50.0)
UNREAD = "frame 4 has 2 numbers"


def some():
    return [
        scored("rises", RISING, True),
        scored("wavers", [0, 10, 5, 30, 20, 60, 40, 70, 90, 80], True),
        scored("falls", FALLING, False),
        scored("flat", FLAT, False),
        scored("unread", None, True, UNREAD),
    ]


def test_what_does_not_parse_and_what_is_constant_is_counted_and_never_averaged_in():
    figures = set_figures(some(), NONE, 0.95)
    gvl = figures.gvl
    vocs = [each.gvl_voc for each in some()[:2]]
    assert gvl.voc.interval.value == pytest.approx(np.mean(vocs))
    assert (gvl.voc.count, gvl.voc.undefined) == (2, 1)
    assert gvl.voc_failures.interval.value == pytest.approx(-1.0)
    assert (gvl.voc_failures.count, gvl.voc_failures.undefined) == (1, 1)
    assert gvl.unparsed.interval.value == pytest.approx(1 / 5) and gvl.constant == 1
    assert 0 < gvl.unparsed.interval.low < 0.2 < gvl.unparsed.interval.high < 1
    auc = figures.auc[GVL_SCORE]
    assert auc.interval.value == success_auc([*vocs, -1.0], [True, True, False])
    assert (auc.count, auc.undefined) == (3, 2)
    assert auc.interval.low < auc.interval.value


def test_without_gvl_there_is_no_figure_of_it():
    plain = [ScoredEpisode("e", TASK, True, None, (), np.arange(3.0), np.array([-3.0, -2, -1]))]
    figures = set_figures(plain, NONE, 0.95)
    assert figures.gvl is None and GVL_SCORE not in figures.auc


def test_the_report_tells_the_seed_and_why_answers_do_not_parse(tmp_path):
    evaluation = Evaluation("here", (Variant("as given", "m", tuple(some()), NONE, gvl_seed=7),))
    text = markdown(evaluation, {})
    assert "Answers that do not parse: 1 of 5 (20%); constant ones: 1." in text
    assert "(seed 7)" in text
    assert f"| unread | {UNREAD} | Frame 1: \\| I don't know |" in text
    assert "| VOC of GVL | 0.9" in text and "| ROC-AUC of success, VOC of GVL | 1.000 |" in text
    assert "GVL" not in markdown(Evaluation("here", (Variant("as given", "m", (
        ScoredEpisode("e", TASK, None, None, (), np.arange(3.0), np.array([-3.0, -2, -1])),
    ), NONE),)), {})  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.slow
def test_the_pictures_show_every_episode(tmp_path, count):
    draw_gvl(some()[-count:], tmp_path / "gvl.png")
    assert min(Image.open(tmp_path / "gvl.png").size) > 200
    assert draw_roc(some(), tmp_path / "roc.png")


# --- the command -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("evaluation")
    labels = [("success", "put the green cube on the blue disc", 1),
              ("failure", "put the red cube on the blue disc", 0)]  # fmt: skip
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "instruction", "success"])
        writer.writerows([(ROOT / "demo" / name, task, done) for name, task, done in labels])
    arguments = [str(folder), "--model", "demo", "--device", "cpu", "--output", str(folder)]
    arguments += ["--controls", "--no-matrix", "--gvl", "--gvl-tokens", "16", "--gvl-seed", "5"]
    assert main([*arguments, "--ablate", "prefix=4"]) == 0
    return folder


@pytest.mark.slow
def test_the_demo_model_cannot_answer_gvl_and_the_report_says_so(report):
    told = json.loads((report / "report.json").read_text())
    base, other = told["variants"]
    assert base["gvl_seed"] == 5 and other["gvl_seed"] is None
    for episode in base["episodes"]:
        answer = episode["gvl"]
        assert sorted(answer["order"]) == list(range(15))
        assert answer["percentages"] is None and answer["voc"] is None
        assert answer["answer"] and "cut off after 16 tokens" in answer["unparsed"]
    gvl = base["figures"]["gvl"]
    assert gvl["unparsed"]["interval"]["value"] == 1.0 and gvl["unparsed"]["count"] == 2
    assert gvl["voc"] == {
        "interval": {"value": None, "low": None, "high": None}, "count": 0, "undefined": 1
    }  # fmt: skip
    assert base["figures"]["auc"][GVL_SCORE]["undefined"] == 2
    assert base["figures"]["voc"]["interval"]["value"] > 0.5
    assert all(each["gvl"] is None for each in other["episodes"])
    text = (report / "report.md").read_text()
    assert "Answers that do not parse: 2 of 2 (100%); constant ones: 0." in text
    assert min(Image.open(report / "gvl.png").size) > 200


def test_a_bad_seed_is_one_sentence_before_anything_is_scored(tmp_path, capsys):
    arguments = ["--model", "demo", "--gvl", "--gvl-seed", "-1"]
    assert main([str(tmp_path / "nothing"), *arguments]) == 1
    assert "the seed must be 0 or more" in capsys.readouterr().err
