"""The demo model's threshold is calibrate's, and what came of its promise is told."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from PIL import Image

from tools.evaluation.promise import BOUND, calibrated, promise
from tools.evaluation.scored import DETECTOR, Scored, score_folder
from tools.evaluation.worst_episodes import PICTURES, draw_worst, worst
from tools.simulation.instructions import all_instructions
from tools.simulation.recorded_set import save
from topreward_ros.method.calibrating import CalibrationRefusedError
from topreward_ros.models.checkpoints.loading import load_scorer

FRAMES = 16
TIMES = np.arange(FRAMES) / 2
LOW = np.linspace(-9.0, -6.0, FRAMES)
HIGH = np.where(np.arange(FRAMES) < 9, LOW, -0.2 + np.arange(FRAMES) / 100)


@pytest.fixture(scope="module")
def scorer():
    return load_scorer("demo", device="cpu")


def scored(curve, success, kind):
    return Scored(kind, success, TIMES, curve, [-8.0], 4.5 if success else None)


def some(count):
    good = [scored(HIGH - k / 1000, True, "success") for k in range(count)]
    return good + [scored(LOW - k / 100, False, "held") for k in range(count)]


def test_the_threshold_is_the_one_that_calibrate_promises(scorer):
    chosen = some(130)
    (task,) = calibrated(chosen, scorer, "demo", DETECTOR).tasks
    assert (task.false_stop_rate, task.confidence) == (BOUND.rate, BOUND.confidence)
    stopped = sum(one.level > task.threshold for one in chosen if not one.success)
    assert stopped == task.false_stops <= BOUND.allowed_false_stops(130)
    assert all(one.level > task.threshold for one in chosen if one.success)
    with pytest.raises(CalibrationRefusedError, match="more"):
        calibrated(some(5), scorer, "demo", DETECTOR)


def test_the_card_says_what_was_promised_and_what_came(scorer):
    calibration = calibrated(some(130), scorer, "demo", DETECTOR)
    bad = [scored(HIGH, False, "near_miss") for _ in range(20)]
    worlds = {"training world": some(60), "test world": [*some(10), *bad], "done": some(3)[:3]}
    said = promise(calibration, worlds)
    assert "on 130 failures and 130 successes" in said and "at most 3% of failures" in said
    assert "- training world: 1.7% [" in said and "does not contradict the promise" in said
    assert "- test world: 70.0% [" in said and "of 30 failures, which contradicts" in said
    assert "- done: no failure, so nothing can be said." in said


def test_the_worst_are_the_surest_mistakes_and_are_drawn(tmp_path):
    episodes = [*some(3), scored(HIGH, False, "held"), scored(LOW, True, "success")]
    assert set(worst(episodes, -3.0, 2)) == {6, 7}
    frames = np.full((FRAMES, 96, 96, 3), 90, np.uint8)
    save(tmp_path / "00000000.npz", [{"frames": frames}] * 8)
    draw_worst(tmp_path, worst(episodes, -3.0), tmp_path / "worst.png")
    assert Image.open(tmp_path / "worst.png").size == (96 * PICTURES, 96 * 4)


def test_a_recorded_set_of_this_scene_is_scored(scorer, tmp_path):
    rng, texts = np.random.default_rng(0), all_instructions()
    progress = np.zeros((4, len(texts)), np.float32)
    progress[2:, -1] = 1.0
    episode = {
        "frames": rng.integers(0, 256, (4, 96, 96, 3), np.uint8),
        "stamps": np.arange(4) / 2,
        "progress": progress,
        "colours": np.array([3, 3, 0, 1]),
        "instruction": np.asarray(len(texts) - 1),
        "success": np.asarray(True),
        "kind": np.asarray("success"),
        "seed": np.asarray(5),
    }
    save(tmp_path / "00000000.npz", [episode])
    (one,) = score_folder(scorer, tmp_path)
    assert one.log_probs.shape == (4,) and one.done_at == 1.0, "a task of one colour too"
