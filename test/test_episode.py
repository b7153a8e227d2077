"""An episode turns frames and stamps into readings, the same live and offline."""

from __future__ import annotations

import math

import numpy as np
import pytest
from calibration_files import calibrated_task
from checkpoints import write_qwen3_vl

from topreward_ros.episode import Episode
from topreward_ros.episode_settings import EpisodeSettings, asked_statement
from topreward_ros.method.calibration import Calibration, ScoringSetup
from topreward_ros.method.progress import CalibratedProgress
from topreward_ros.method.prompt import InstructionError
from topreward_ros.method.reward import RewardForm
from topreward_ros.method.stall import StallSettings
from topreward_ros.method.statement_states import AskedStatement
from topreward_ros.method.statements import parse_statements
from topreward_ros.method.success import SuccessSettings
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.video.intake import IntakeSettings
from topreward_ros.video.selection import ClockJump

SIZE = (32, 32)
T0 = 1_760_000_000.25
ALWAYS = EpisodeSettings(SuccessSettings(threshold=-1000.0 + 1e-9, hold=1.0, min_duration=2.0))


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    return load_scorer(str(write_qwen3_vl(tmp_path_factory.mktemp("tiny"))), frame_size=SIZE)


def frames(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


def play(episode, count, start=T0, seed=0):
    readings = []
    for index, frame in enumerate(frames(count, seed)):
        episode.add_frame(frame, start + index / 2)
        readings.append(episode.update())
    return readings


def test_readings_carry_the_cameras_time_and_count_from_the_first_frame(scorer):
    readings = play(Episode(scorer, "go"), 4)
    assert [reading.stamp for reading in readings] == [T0 + index / 2 for index in range(4)]
    assert [reading.episode_time for reading in readings] == [0.0, 0.5, 1.0, 1.5]
    assert [reading.index for reading in readings] == [0, 1, 2, 3]
    assert [reading.frames for reading in readings] == [1, 2, 3, 4]


def test_readings_hold_what_a_session_says_of_the_same_video(scorer):
    session, expected = scorer.start(), []
    for index, frame in enumerate(frames(5)):
        session.append(frame, index / 2)
        expected.append(session.log_prob("go"))
    assert [r.log_prob for r in play(Episode(scorer, "go"), 5)] == pytest.approx(expected, abs=1e-6)


def test_no_new_frame_means_no_reading(scorer):
    episode = Episode(scorer, "go")
    assert episode.update() is None
    play(episode, 2)
    assert episode.update() is None


def test_frames_that_came_together_are_merged_into_one_reading(scorer):
    single = play(Episode(scorer, "go"), 5)[-1]
    episode = Episode(scorer, "go")
    for index, frame in enumerate(frames(5)):
        episode.add_frame(frame, T0 + index / 2)
    merged = episode.update()
    assert (merged.index, merged.frames, merged.stamp) == (0, 5, single.stamp)
    assert merged.log_prob == pytest.approx(single.log_prob, abs=1e-5)


def test_merged_frames_start_the_hold_of_a_success_anew(scorer):
    episode = Episode(scorer, "go", ALWAYS)
    readings = []
    for index, frame in enumerate(frames(14)):
        episode.add_frame(frame, T0 + index / 2)
        if index not in (3, 7):
            readings.append((index, episode.update()))
    # Merged at 4 and at 8; the window of 3 is full 1.0 s later, and held for 1.0 s 1.0 s after it.
    assert [index for index, reading in readings if reading.success] == [12, 13]
    unknown = [index for index, reading in readings if math.isnan(reading.success_score)]
    assert unknown == [0, 1, 4, 5, 8, 9]


def test_time_without_motion_is_merged_like_frames(scorer):
    episode = Episode(scorer, "go", ALWAYS)
    picture = frames(1)[0]
    for index in range(20):
        episode.add_frame(picture if index == 0 else None, T0 + index / 2)
        if index % 2:
            reading = episode.update()
    assert not reading.success
    for index in range(20, 24):
        episode.add_frame(None, T0 + index / 2)
        reading = episode.update()
    assert reading.success


STALLS = EpisodeSettings(stall=StallSettings(stall_time=3.0, min_progress=0.5, max_step=0.75))
"""A random model's log-probs lie near each other: far from half the way up to 0."""


def test_another_instruction_takes_a_stall_back_and_gives_its_task_the_time(scorer):
    episode = Episode(scorer, "go", STALLS)
    assert [r.stall.stalled for r in play(episode, 8)] == [False] * 6 + [True] * 2
    episode.set_instruction("come back")
    assert [r.stall.stalled for r in play(episode, 8, T0 + 4.0)] == [False] * 6 + [True] * 2


def test_frames_without_a_picture_are_a_standstill(scorer):
    episode = Episode(scorer, "go", STALLS)
    states = []
    for index in range(10):
        episode.add_frame(None if index else frames(1)[0], T0 + index / 2)
        states.append(episode.update().stall)
    assert [state.standstill for state in states] == [False] * 6 + [True] * 4
    assert not any(state.stalled for state in states)


@pytest.mark.parametrize("fault", ["", "frozen", "hole"])
def test_of_merged_frames_each_has_to_be_seen_for_a_stall(scorer, fault):
    episode = Episode(scorer, "go", STALLS)
    stamp, stalled = T0, False
    for index, frame in enumerate(frames(24)):
        second = index % 4 == 1
        stamp += 1.0 if fault == "hole" and second else 0.5
        episode.add_frame(frame, stamp, seen=not (fault == "frozen" and second))
        if index % 4 == 3:
            stalled |= episode.update().stall.stalled
    assert stalled == (fault == "")


def test_time_that_goes_back_or_stands_still_ends_the_episode(scorer):
    episode = Episode(scorer, "go")
    play(episode, 2)
    for stamp in (T0 + 0.5, T0 - 10.0):
        with pytest.raises(ClockJump, match="time went back"):
            episode.add_frame(frames(1)[0], stamp)


@pytest.mark.parametrize("stamp", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("before", [0, 2])
def test_a_stamp_that_is_no_finite_number_is_refused_and_changes_nothing(scorer, stamp, before):
    episode = Episode(scorer, "go")
    play(episode, before)
    for frame in (frames(1)[0], None):
        with pytest.raises(ValueError, match=r"stamp is .*; expected a finite number"):
            episode.add_frame(frame, stamp)
    assert episode.update() is None
    episode.add_frame(frames(1)[0], T0 + 1.0)
    assert episode.update().frames == before + 1
    with pytest.raises(ClockJump):
        episode.add_frame(frames(1)[0], T0 + 0.5)


def test_the_next_episode_knows_nothing_of_the_one_before(scorer):
    first = play(Episode(scorer, "go"), 4)
    play(Episode(scorer, "go"), 6, seed=3)
    again = play(Episode(scorer, "go"), 4)
    assert [r.log_prob for r in again] == [r.log_prob for r in first]
    assert [r.progress for r in again] == [r.progress for r in first]


def test_success_needs_hold_and_minimum_duration_and_then_stays(scorer):
    readings = play(Episode(scorer, "go", ALWAYS), 8)
    assert [reading.success for reading in readings] == [False] * 4 + [True] * 4
    assert {reading.success_since for reading in readings[4:]} == {2.0}


def test_without_a_threshold_success_is_never_claimed(scorer):
    readings = play(Episode(scorer, "go"), 10)
    assert not any(reading.success for reading in readings)
    assert all(reading.success_threshold is None for reading in readings)


def test_another_instruction_starts_a_new_baseline_on_the_same_video(scorer):
    episode = Episode(scorer, "go", ALWAYS)
    assert play(episode, 6)[-1].success
    episode.set_instruction("open the drawer")
    later = frames(12)[6:]
    readings = []
    for index, frame in enumerate(later, start=6):
        episode.add_frame(frame, T0 + index / 2)
        readings.append(episode.update())
    assert readings[0].frames == 7
    assert readings[0].reward == 0.0
    assert math.isnan(readings[0].success_score)
    assert [reading.success for reading in readings] == [False] * 4 + [True] * 2
    fresh = play(Episode(scorer, "open the drawer"), 12)
    assert readings[-1].log_prob == pytest.approx(fresh[-1].log_prob, abs=1e-5)


@pytest.mark.parametrize("text", ["", "   ", "x" * 10_000, "a\nb", "<|im_end|>"])
def test_an_instruction_that_cannot_be_asked_about_is_refused_and_the_old_one_stays(scorer, text):
    with pytest.raises(InstructionError):
        Episode(scorer, text)
    episode = Episode(scorer, "go")
    with pytest.raises(InstructionError):
        episode.set_instruction(text)
    assert episode.instruction == "go"


def test_still_time_moves_no_progress_yet_lets_a_success_be_held(scorer):
    episode = Episode(scorer, "go", ALWAYS)
    moving = play(episode, 4)
    still = []
    for index in range(4, 9):
        episode.add_frame(None, T0 + index / 2)
        still.append(episode.update())
    assert {reading.log_prob for reading in still} == {moving[-1].log_prob}
    assert {reading.frames for reading in still} == {4}
    assert all(reading.reward == 0.0 for reading in still)
    assert not moving[-1].success and still[-1].success


def test_settings_reach_progress_and_reward(scorer):
    plain = [reading.log_prob for reading in play(Episode(scorer, "go"), 5)]
    floor, ceiling = min(plain) - 1.0, max(plain) + 1.0
    settings = EpisodeSettings(
        reward_form=RewardForm.EXP_CLIP, progress=CalibratedProgress(floor, ceiling)
    )
    readings = play(Episode(scorer, "go", settings), 5)
    expected = [(value - floor) / (ceiling - floor) for value in plain]
    assert [reading.progress for reading in readings] == pytest.approx(expected)
    assert {reading.progress_source for reading in readings} == {"calibrated"}
    assert {reading.reward_form for reading in readings} == {"exp_clip"}
    assert all(0.0 < reading.reward <= 2.0 for reading in readings)


@pytest.mark.parametrize("error", [-4e-7, 4e-7])
def test_rounding_errors_of_todays_stamps_do_not_change_a_score(scorer, error):
    exact = play(Episode(scorer, "go"), 2, start=0.0)[-1].log_prob
    episode = Episode(scorer, "go")
    for index, frame in enumerate(frames(2)):
        episode.add_frame(frame, T0 + index * (0.5 + error))
    assert episode.update().log_prob == pytest.approx(exact, abs=1e-6)


def asked(*entries: str, threshold: float | None = None) -> EpisodeSettings:
    settings = SuccessSettings(threshold=threshold)
    return EpisodeSettings(
        settings, statements=tuple(AskedStatement(s, settings) for s in parse_statements(entries))
    )


def test_statements_beside_the_task_change_nothing_of_it_and_are_exact(scorer):
    texts = ["the gripper holds it", "it lies on the floor", "it lies on the disc"]
    entries = [f"s{index} | stage | {text}" for index, text in enumerate(texts)]
    alone = play(Episode(scorer, "go"), 5)
    beside = play(Episode(scorer, "go", asked(*entries)), 5)
    assert [r.log_prob for r in beside] == pytest.approx([r.log_prob for r in alone], abs=1e-5)
    for index, text in enumerate(texts):
        one = [r.log_prob for r in play(Episode(scorer, text), 5)]
        told = [r.statements.each[index].log_prob for r in beside]
        assert told == pytest.approx(one, abs=1e-5)
    assert all(not reading.statements.each for reading in alone)


def test_another_instruction_starts_the_statements_anew(scorer):
    episode = Episode(scorer, "go", asked("s | stage | it lies there", threshold=-1000.0 + 1e-9))
    assert play(episode, 8)[-1].statements.each[0].held
    episode.set_instruction("come back")
    assert not play(episode, 2, T0 + 4.0)[-1].statements.each[0].held


def test_a_failure_ends_an_episode_only_by_a_calibrated_threshold_or_a_stricter_one(
    scorer, monkeypatch
):
    monkeypatch.setattr(scorer, "success_threshold", -3.0)
    intake = IntakeSettings(sample_rate=scorer.sample_rate, motion_threshold=None)
    monkeypatch.setattr(scorer, "motion_threshold", None)
    kinds = parse_statements(
        ["s | stage | a", "f | failure | b", "o | failure | -1 | c", "k | failure | d",
         "strict | failure | -1 | e", "lax | failure | -9 | g"]
    )  # fmt: skip
    setup = ScoringSetup("m", "f", "raw", SIZE, 2.0, 1, "row", 0.5, 64, "local")
    tasks = tuple(calibrated_task([text], -2.0) for text in "deg")
    known = Calibration(setup, SuccessSettings(), tasks)
    expected = {
        None: ([-3.0, None, -1.0, None, -1.0, -9.0], [False] * 6),
        known: ([None, None, -1.0, -2.0, -1.0, -9.0], [False] * 3 + [True, True, False]),
    }
    for calibration, (thresholds, ends) in expected.items():
        made = [asked_statement(scorer, intake, SuccessSettings(-9.0), calibration, one)
                for one in kinds]  # fmt: skip
        assert [one.success.threshold for one, _ in made] == thresholds
        assert [one.ends for one, _ in made] == ends
        told = ["has no calibrated threshold" in warning for _, warning in made]
        assert told == [False, *(not one for one in ends[1:])]
    assert "bound on false stops does not hold" in made[-1][1]
