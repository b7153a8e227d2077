"""The demo model decides held-out episodes, and holds still where nothing happens."""

from __future__ import annotations

import numpy as np
import pytest
from repository import DATA

from tools.evaluation.controls import control_levels
from tools.held_out_sample import unpack
from tools.simulation.instructions import all_instructions
from topreward_ros.method.metrics import success_auc, value_order_correlation
from topreward_ros.method.success import SuccessDetector, SuccessSettings
from topreward_ros.models.checkpoints.loading import load_scorer, score_prefixes
from topreward_ros.offline.evaluation.controls import CONTROLS, QUESTIONS
from topreward_ros.video.motion import MotionGate

pytestmark = pytest.mark.slow

HELD_OUT = DATA / "held_out.npz"
WINDOW = 3


@pytest.fixture(scope="module")
def scorer():
    return load_scorer("demo", device="cpu")


@pytest.fixture(scope="module")
def episodes():
    with np.load(HELD_OUT) as packed:
        return unpack(dict(packed))


def curve(scorer, episode, instruction, first=1):
    """Log-probs of every prefix from `first` frames on, gated as live."""
    gate = MotionGate(scorer.motion_threshold)
    new = np.array([gate.is_new(frame) for frame in episode["frames"]])
    frames = [frame for frame, is_new in zip(episode["frames"], new, strict=True) if is_new]
    stamps = (episode["stamps"] - episode["stamps"][0]).round(4)[new].tolist()
    lengths = np.cumsum(new)[first - 1 :].tolist()
    return score_prefixes(scorer, frames, stamps, all_instructions()[instruction], lengths)


@pytest.fixture(scope="module")
def curves(scorer, episodes):
    return [curve(scorer, episode, int(episode["instruction"])) for episode in episodes]


def final(values):
    return values[-WINDOW:].mean()


def test_successes_are_told_from_failures(episodes, curves):
    labels = [bool(episode["success"]) for episode in episodes]
    assert 6 <= sum(labels) <= len(labels) - 6
    assert success_auc([final(values) for values in curves], labels) >= 0.95


def test_the_log_prob_rises_in_time_order_in_successes(episodes, curves):
    orders = [
        value_order_correlation(values)
        for episode, values in zip(episodes, curves, strict=True)
        if episode["success"]
    ]
    assert np.mean(orders) >= 0.93


def test_the_right_instruction_is_told_from_a_wrong_cube_and_a_wrong_disc(scorer, episodes, curves):
    right, wrong = [], []
    for episode, values in zip(episodes, curves, strict=True):
        if not episode["success"]:
            continue
        right.append(final(values))
        words = all_instructions()[int(episode["instruction"])].split()
        others = [
            index
            for index, text in enumerate(all_instructions())
            if (text.split()[2] == words[2]) != (text.split()[-2] == words[-2])
        ]
        last = len(values) - WINDOW + 1
        wrong += [final(curve(scorer, episode, index, last)) for index in others[:3]]
    labels = [True] * len(right) + [False] * len(wrong)
    assert success_auc([*right, *wrong], labels) >= 0.98


def test_where_nothing_moves_no_prefix_reaches_the_threshold(scorer, episodes, monkeypatch):
    monkeypatch.setattr(MotionGate, "is_new", lambda _gate, _frame: True)  # else one frame is left
    still = [e for e in episodes if e["kind"] == "static"]
    highest = [curve(scorer, e, int(e["instruction"])).max() for e in still]
    assert highest and max(highest) < scorer.success_threshold


def test_the_detector_latches_in_most_successes_and_hardly_in_failures(scorer, episodes, curves):
    latched = {True: [], False: []}
    for episode, values in zip(episodes, curves, strict=True):
        detector = SuccessDetector(SuccessSettings(threshold=scorer.success_threshold))
        states = [
            detector.update(float(value), float(stamp))
            for value, stamp in zip(values, episode["stamps"], strict=True)
        ]
        latched[bool(episode["success"])].append(states[-1].success)
    assert np.mean(latched[True]) >= 0.7
    assert np.mean(latched[False]) <= 0.1


def test_no_success_is_claimed_of_a_picture_that_shows_nothing_or_of_half_a_video(scorer, episodes):
    """Of the controls, those that the model passes; its card says how often it fails the others."""
    episode = next(one for one in episodes if one["success"])
    stamps = episode["stamps"] - episode["stamps"][0]
    task = all_instructions()[int(episode["instruction"])]
    levels = control_levels(scorer, episode["frames"], stamps, task, SuccessSettings(window=WINDOW))
    assert set(levels) == {*CONTROLS, *QUESTIONS}
    for name in ("static", "frozen", "black"):
        assert levels[name] < scorer.success_threshold, name
