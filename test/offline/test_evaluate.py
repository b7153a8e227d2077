"""An evaluation: figures and controls are what they say, and the report reads."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("torch")

import pyarrow.compute  # noqa: F401 - the writer of sets uses it
from checkpoints import write_qwen3_vl
from full_disk import full_disk
from lerobot_sets import write_v30
from PIL import Image
from repository import ROOT

from topreward_ros.method.metrics import success_auc, value_order_correlation
from topreward_ros.method.success import SuccessSettings
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.offline.episodes.recorded_episode import Stage
from topreward_ros.offline.evaluation.command import main
from topreward_ros.offline.evaluation.controls import CONTROLS, OPPOSITES, QUESTIONS
from topreward_ros.offline.evaluation.figures import set_figures
from topreward_ros.offline.evaluation.prefix_scores import score_lengths
from topreward_ros.offline.evaluation.scored_episode import ScoredEpisode
from topreward_ros.offline.evaluation.stage_figures import stage_figures
from topreward_ros.offline.evaluation.video import EpisodeVideo

TASK, OTHER = "open the drawer", "close the drawer"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(write_qwen3_vl(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def scorer(checkpoint):
    return load_scorer(checkpoint, device="cpu")


def moving(scorer, count=9, still=()):
    """Random pictures; those in `still` show what the one before shows."""
    frames = []
    for k in range(count):
        shown = np.random.default_rng(k).integers(0, 256, (*scorer.frame_size, 3), np.uint8)
        frames.append(frames[-1] if k in still else shown)
    return EpisodeVideo(tuple(frames), np.arange(count) / 2)


# --- scores ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", [None, 4.0])
@pytest.mark.parametrize("tasks", [[TASK], [TASK, OTHER]])
def test_every_prefix_has_the_score_of_a_session_that_saw_it(scorer, gate, tasks):
    video = moving(scorer, still=(3, 4, 8))
    session, expected = scorer.start(), []
    for k, (frame, time) in enumerate(zip(video.frames, video.times, strict=True)):
        if gate is None or k not in (3, 4, 8):
            session.append(frame, float(time))
        expected.append(session.log_probs(tasks))
    actual = score_lengths(scorer, video, tasks, range(1, 10), gate)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_cropping_to_the_last_frames_is_another_score(scorer):
    video = moving(scorer)
    true = score_lengths(scorer, video, [TASK], [4, 9], None)
    cropped = score_lengths(scorer, video, [TASK], [4, 9], None, last=4)
    assert cropped[0] == pytest.approx(true[0], abs=1e-5)
    assert abs(cropped[1] - true[1]) > 1e-4


def test_controls_keep_the_times_and_show_what_they_say(scorer):
    video = moving(scorer, 6)
    made = {name: make(video) for name, make in CONTROLS.items()}
    for one in made.values():
        assert len(one) == 6 and (one.times == video.times).all()
    assert all((frame == video.frames[0]).all() for frame in made["static"].frames)
    assert (made["reversed"].frames[0] == video.frames[-1]).all()
    assert not any(frame.any() for frame in made["black"].frames)
    kinds = {frame.tobytes() for frame in video.frames}
    assert {frame.tobytes() for frame in made["shuffled"].frames} == kinds
    assert any((a != b).any() for a, b in zip(made["shuffled"].frames, video.frames, strict=True))
    frozen = made["frozen"].frames
    assert (frozen[1] == video.frames[1]).all() and (frozen[1] != frozen[2]).any()
    assert all((frame == video.frames[2]).all() for frame in frozen[2:])
    drawn = made["drawing"].frames
    assert all(frame.shape == video.frames[0].shape for frame in drawn)
    assert all((a != b).any() for a, b in pairwise(drawn)), "the square goes on and on"
    assert len(np.unique(drawn[0].reshape(-1, 3), axis=0)) <= 5, "it is flat"
    for name in ("shuffled", "drawing"):
        again = CONTROLS[name](video).frames
        assert all((a == b).all() for a, b in zip(again, made[name].frames, strict=True))


@pytest.mark.parametrize(
    ("task", "asked"),
    [
        ("put the cube on the disc", "remove the cube on the disc"),
        ("Open the drawer", "close the drawer"),
        ("dance with the cube", None),
        ("put", None),
    ],
)
def test_what_is_asked_instead_of_the_task_is_not_what_was_done(task, asked):
    assert QUESTIONS["wrong verb"](task) == asked
    assert QUESTIONS["negation"](task) == f"do not {task}"


def test_an_opposite_is_another_verb():
    assert all(one != other for one, other in OPPOSITES.items())


# --- figures ---------------------------------------------------------------------------------


def scored(log_probs, success=None, **more):
    values = np.array(log_probs, dtype=float)
    told = {"grade": None, "stages": (), **more}
    return ScoredEpisode("e", TASK, success, told.pop("grade"), told.pop("stages"),
                         np.arange(len(values)) / 2, values, **told)  # fmt: skip


RISING, FALLING, FLAT = np.linspace(-9, -1, 20), np.linspace(-1, -9, 20), np.full(20, -5.0)
NONE = SuccessSettings()


def test_a_constant_curve_is_counted_and_never_averaged_in():
    figures = set_figures([scored(RISING), scored(FLAT), scored(FALLING)], NONE, 0.95)
    assert figures.voc.interval.value == pytest.approx(0.0)
    assert (figures.voc.count, figures.voc.undefined) == (2, 1)


def test_voc_is_over_as_many_prefixes_as_are_asked_for():
    bent = np.concatenate([RISING[:12], RISING[:3:-2]])
    few, many = scored(bent, prefixes=3), scored(bent)
    assert few.voc == value_order_correlation(bent[[0, 9, 19]]) != many.voc
    control = scored(RISING, prefixes=3, controls={"static": bent})
    figures = set_figures([control], NONE, 0.95)
    assert figures.prefixes == 3
    assert figures.controls["static"].voc.interval.value == few.voc


def test_the_areas_are_those_of_the_scores():
    episodes = [scored(RISING, True), scored(FALLING, False), scored(FLAT, False),
                scored(RISING - 3, True)]  # fmt: skip
    figures = set_figures(episodes, NONE, 0.95)
    scores = [each.score for each in episodes]
    area = success_auc(scores, [True, False, False, True])
    assert figures.auc["success score (last 3)"].interval.value == pytest.approx(area)
    assert figures.auc["VOC"].undefined == 1
    assert figures.detected is None


def test_claims_are_those_of_the_live_detector():
    detector = SuccessSettings(-2.0)
    late = np.concatenate([np.full(17, -9.0), np.full(3, -0.1)])  # held for too short
    held = np.concatenate([np.full(12, -9.0), np.full(8, -0.1)])
    controls = {"static": FLAT, "reversed": held}
    episodes = [scored(held, True, controls=controls), scored(late, False, controls=controls)]
    figures = set_figures(episodes, detector, 0.95)
    assert figures.detected.interval.value == 1.0 and figures.false_stops.interval.value == 0.0
    assert figures.controls["reversed"].claims.interval.value == 1.0
    assert figures.controls["static"].claims.interval.value == 0.0
    assert figures.controls["static"].voc.undefined == 2
    assert figures.controls["static"].beaten.interval.value == 1.0


def test_nothing_is_claimed_on_what_nobody_saw_or_across_a_hole():
    detector = SuccessSettings(-2.0, max_step=0.75)
    held = np.concatenate([np.full(12, -9.0), np.full(8, -0.1)])
    frozen = scored(held, True, seen=(*[True] * 14, *[False] * 6))
    hole = scored(held, True)
    hole = replace(hole, times=hole.times + np.where(np.arange(20) < 14, 0.0, 5.0))
    for episode, found in ((scored(held, True), 1.0), (frozen, 0.0), (hole, 1.0)):
        assert set_figures([episode], detector, 0.95).detected.interval.value == found
    short = replace(hole, times=hole.times + np.where(np.arange(20) < 17, 0.0, 5.0))
    assert set_figures([short], detector, 0.95).detected.interval.value == 0.0
    assert set_figures([short], SuccessSettings(-2.0), 0.95).detected.interval.value == 1.0


def test_grades_are_correlated_and_confused():
    episodes = [scored(np.full(5, -9.0 + 2 * grade), grade=grade) for grade in (1, 2, 3, 4, 5)]
    grades = set_figures(episodes, NONE, 0.95).grades
    assert grades.correlation.interval.value == pytest.approx(1.0)
    assert grades.confusion == np.eye(5, dtype=int).tolist()


def test_stages_are_judged_each_and_in_their_order():
    stages = (Stage("reach", 0.0, 4.0), Stage("grasp", 4.0, 7.0), Stage("place", 7.0, 9.5))
    figures = stage_figures(scored(RISING, stages=stages))
    assert list(figures.within) == ["1. reach", "2. grasp", "3. place"]
    assert set(figures.within.values()) == {1.0} and figures.order == 1.0
    dropped = np.concatenate([RISING[:13], np.full(7, -9.0)])
    assert stage_figures(scored(dropped, False, stages=stages)).furthest == "2. grasp"
    assert stage_figures(scored(RISING)) is None


# --- the command -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    root = write_v30(folder / "drawers", [[TASK], [OTHER], [TASK]], [41, 33, 37], stages=True)
    arguments = [str(root), "--model", checkpoint, "--device", "cpu", "--output", str(folder)]
    arguments += ["--no-motion-gate", "--ablate", "prompt-form=chat", "--ablate", "prefix=4"]
    assert main(arguments) == 0
    return folder


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_leaves_the_report_of_before(
    report, checkpoint, tmp_path, capsys
):
    root = write_v30(tmp_path / "set", [[TASK]], [9])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/report.md").write_text("of before")
    arguments = [str(root), "--model", checkpoint, "--device", "cpu", "--no-motion-gate"]
    with full_disk(200):
        assert main([*arguments, "--output", str(tmp_path / "out")]) == 1
    assert "File too large" in capsys.readouterr().err.splitlines()[-1]
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["report.md"]
    assert (tmp_path / "out/report.md").read_text() == "of before"


@pytest.mark.slow
def test_the_report_says_everything_and_its_pictures_open(report):
    text = (report / "report.md").read_text()
    for words in ("## Controls", "wrong instruction", "| negation |", "| wrong verb |",
                  "| frozen |", "| drawing |", "## Tasks", "## Ablations",
                  "prompt-form chat", "prefix 4", "## Stages", "1. reach"):  # fmt: skip
        assert words in text, words
    for line in text.splitlines():
        if line.startswith("!["):
            name = line.split("(")[1].rstrip(")")
            assert min(Image.open(report / name).size) > 200, name
    assert {"curves.png", "tasks.png", "matrix.png", "controls.png"} <= {
        path.name for path in report.iterdir()
    }


@pytest.mark.slow
def test_the_numbers_of_the_report_are_those_of_its_curves(report):
    told = json.loads((report / "report.json").read_text())
    base = told["variants"][0]
    assert len(base["episodes"]) == 3 and base["failed"] == []
    for episode in base["episodes"]:
        assert episode["voc_of_all"] == pytest.approx(value_order_correlation(episode["log_probs"]))
        assert set(episode["answers"]) == {TASK, OTHER}
        mean = float(np.mean(episode["log_probs"][-3:]))
        assert episode["answers"][episode["instruction"]] == pytest.approx(mean, abs=1e-5)
        black = episode["controls"]["black"]
        assert black != episode["log_probs"] and len(black) == len(episode["log_probs"])
    vocs = [episode["voc"] for episode in base["episodes"]]
    assert base["figures"]["voc"]["interval"]["value"] == pytest.approx(np.mean(vocs))


@pytest.mark.slow
def test_the_demo_model_tells_the_demo_episodes_apart(tmp_path):
    labels = [("success", "put the green cube on the blue disc", 1),
              ("failure", "put the red cube on the blue disc", 0)]  # fmt: skip
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "instruction", "success"])
        writer.writerows([(ROOT / "demo" / name, task, done) for name, task, done in labels])
    arguments = [str(tmp_path), "--model", "demo", "--device", "cpu", "--output", str(tmp_path)]
    assert main(arguments) == 0
    figures = json.loads((tmp_path / "report.json").read_text())["variants"][0]["figures"]
    assert figures["auc"]["success score (last 3)"]["interval"]["value"] == 1.0
    assert figures["detected"]["interval"]["value"] == 1.0
    assert figures["false_stops"]["interval"]["value"] == 0.0
    assert figures["controls"]["static"]["claims"]["interval"]["value"] == 0.0


@pytest.mark.slow
def test_the_report_names_the_prefixes_that_were_asked_for(checkpoint, tmp_path):
    root = write_v30(tmp_path / "set", [[TASK], [OTHER]], [31, 25])
    arguments = [str(root), "--model", checkpoint, "--device", "cpu", "--output", str(tmp_path)]
    assert main([*arguments, "--controls", "--prefixes", "4", "--no-motion-gate"]) == 0
    assert "| VOC, 4 prefixes |" in (tmp_path / "report.md").read_text()
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["settings"]["prefixes"] == told["variants"][0]["figures"]["prefixes"] == 4
    for one in told["variants"][0]["episodes"]:
        chosen = np.linspace(1, len(one["log_probs"]), 4).round().astype(int) - 1
        picked = np.array(one["log_probs"])[chosen]
        assert one["voc"] == pytest.approx(value_order_correlation(picked))


def test_one_prefix_has_no_order(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), "--prefixes", "1"])
    assert ended.value.code == 2
    assert "--prefixes is 1; VOC is of 2 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--ablate", "colour=red"], "There is no ablation 'colour=red'; expected NAME=VALUE"),
        (["--ablate", "prompt-form=poem"], "cannot have the value 'poem'; expected raw"),
        (["--ablate", "frame-size=big"], "expected HEIGHTxWIDTH"),
    ],
)
def test_a_bad_ablation_is_one_sentence_before_anything_is_scored(tmp_path, capsys, arguments,
                                                                   sentence):  # fmt: skip
    assert main([str(tmp_path / "nothing"), "--model", "demo", *arguments]) == 1
    assert sentence in capsys.readouterr().err


def test_an_episode_that_cannot_be_read_is_named_and_left_out(checkpoint, tmp_path, capsys):
    root = write_v30(tmp_path / "set", [[TASK], [""]], [21, 13])
    arguments = [str(root), "--model", checkpoint, "--device", "cpu", "--output", str(tmp_path)]
    assert main([*arguments, "--controls"]) == 1
    assert "episode_000001 has no instruction" in capsys.readouterr().err
    assert "## Left out" in (tmp_path / "report.md").read_text()
