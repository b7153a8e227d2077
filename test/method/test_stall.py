"""When a robot is said to push in vain, to stand still, or to have undone its work."""

from __future__ import annotations

import math

import numpy as np
import pytest

from topreward_ros.method.stall import NewFrames, StallDetector, StallError, StallSettings

SETTINGS = StallSettings(
    stall_time=10.0, min_progress=0.1, regress_time=3.0, min_drop=0.3, max_step=0.75
)
PERIOD = 0.5
UNKNOWN = math.nan


class Attempt:
    """An episode at 2 Hz, and what was said at each reading."""

    def __init__(self, settings: StallSettings = SETTINGS) -> None:
        self.detector = StallDetector(settings)
        self.now = -PERIOD
        self.hole = 0.0
        self.states = []

    def show(
        self, *progress: float, moved: bool = True, seen: bool = True, done: bool = False
    ) -> Attempt:
        """Takes readings in, one each half second."""
        for value in progress:
            before, self.now = self.now - self.hole, self.now + PERIOD
            frames = NewFrames()
            frames.take(self.now - before, moved=moved, seen=seen)
            self.states.append(self.detector.update(value, self.now, frames, done=done))
            self.hole = 0.0
        return self

    def miss(self, seconds: float) -> None:
        """Shows nothing for a while."""
        self.now += seconds
        self.hole = seconds

    def stay(self, progress: float, seconds: float, **how: object) -> Attempt:
        """Shows the same progress for a while."""
        return self.show(*[progress] * round(seconds / PERIOD), **how)

    def first(self, name: str) -> float | None:
        """Returns s of the first reading at which it was said."""
        said = [k * PERIOD for k, state in enumerate(self.states) if getattr(state, name)]
        return said[0] if said else None

    def said(self) -> set[str]:
        """Returns all that was said at any time."""
        return {name for name in ("stalled", "standstill", "regressed") if self.first(name)}


def ramp(start: float, end: float, seconds: float) -> list[float]:
    return list(np.linspace(start, end, round(seconds / PERIOD), endpoint=False))


def test_a_robot_that_pushes_in_vain_is_stalled_once_it_has_moved_for_so_long():
    attempt = Attempt().show(*ramp(0.0, 0.4, 8.0)).stay(0.4, 20.0)
    assert attempt.said() == {"stalled"}
    assert 17.0 <= attempt.first("stalled") <= 18.5
    assert attempt.states[-1].quiet == pytest.approx(20.0, abs=2.0)


def test_a_robot_that_waits_stands_still():
    attempt = Attempt().show(*ramp(0.0, 0.4, 8.0)).stay(0.4, 20.0, moved=False)
    assert attempt.said() == {"standstill"}
    assert 17.0 <= attempt.first("standstill") <= 18.5


def test_a_robot_that_never_begins_stands_still():
    attempt = Attempt().show(0.0).stay(0.0, 20.0, moved=False)
    assert attempt.said() == {"standstill"} and attempt.first("standstill") == 10.0


def test_a_robot_that_is_slow_but_goes_on_is_neither():
    assert Attempt().show(*ramp(0.0, 0.9, 80.0)).said() == set()


def test_a_robot_that_is_slower_than_that_is_stalled():
    assert Attempt().show(*ramp(0.0, 0.4, 80.0)).said() == {"stalled"}


def test_a_pause_that_is_shorter_is_neither_a_standstill_nor_time_of_pushing():
    attempt = Attempt().show(*ramp(0.0, 0.4, 8.0))
    attempt.stay(0.4, 9.0, moved=False).show(*ramp(0.4, 0.8, 8.0))
    assert attempt.said() == set()
    # Nine seconds of waiting, then of pushing: each on its own is too short.
    attempt = Attempt().stay(0.4, 1.5).stay(0.4, 9.0, moved=False).stay(0.4, 5.0)
    assert attempt.said() == set()
    assert attempt.stay(0.4, 5.0).said() == {"stalled"}


def test_motion_that_the_gate_sees_now_and_then_is_motion():
    attempt = Attempt()
    for _ in range(10):
        attempt.show(0.4).show(0.4, 0.4, moved=False)
    assert attempt.said() == {"stalled"}


def test_progress_ends_both():
    for how in ({}, {"moved": False}):
        attempt = Attempt().stay(0.4, 15.0, **how)
        assert attempt.said()
        assert not attempt.show(0.45, 0.46, 0.46, **how).said() - attempt.said()
        assert attempt.states[-1].stalled or attempt.states[-1].standstill
        attempt.show(0.55, 0.55)
        assert not (attempt.states[-1].stalled or attempt.states[-1].standstill)
        attempt.stay(0.55, 15.0, **how)
        assert attempt.states[-1].stalled or attempt.states[-1].standstill


def test_motion_ends_a_standstill_and_gives_the_robot_its_time():
    attempt = Attempt().stay(0.4, 15.0, moved=False).stay(0.4, 8.0)
    assert attempt.states[29].standstill and not attempt.states[30].standstill
    assert not attempt.states[-1].stalled
    assert attempt.stay(0.4, 4.0).states[-1].stalled


def test_who_has_pushed_in_vain_and_then_stands_still_does_both():
    attempt = Attempt().stay(0.4, 15.0).stay(0.4, 15.0, moved=False)
    assert attempt.states[-1].stalled and attempt.states[-1].standstill


def test_a_robot_that_drops_the_object_has_regressed_until_it_has_regained_it():
    attempt = Attempt().show(*ramp(0.0, 0.8, 8.0)).stay(0.8, 1.0).stay(0.3, 8.0)
    assert attempt.said() == {"regressed"}
    assert 12.0 <= attempt.first("regressed") <= 13.0
    assert attempt.states[-1].best == pytest.approx(0.8)
    attempt.show(*ramp(0.3, 0.55, 3.0))
    assert attempt.states[-1].regressed  # less than it had, by less than the drop: no flutter
    attempt.show(*ramp(0.55, 0.8, 3.0))
    assert not attempt.states[-1].regressed


def test_a_fall_that_is_made_good_soon_or_small_or_of_one_reading_is_none():
    assert Attempt().stay(0.8, 3.0).stay(0.3, 2.5).stay(0.8, 3.0).said() == set()
    assert Attempt().stay(0.8, 1.0).stay(0.55, 7.0).said() == set()
    assert Attempt().stay(0.3, 3.0).show(0.9).stay(0.3, 6.0).said() == set()


def test_a_slow_fall_counts_from_the_best_that_was_reached():
    assert "regressed" in Attempt().stay(0.9, 2.0).show(*ramp(0.9, 0.3, 30.0)).said()


def test_noise_below_the_step_is_no_progress_and_noise_above_it_claims_nothing():
    noise = np.random.default_rng(1).uniform(-1.0, 1.0, 80)
    assert Attempt().show(*(0.4 + 0.045 * noise)).said() == {"stalled"}
    assert Attempt().show(*(0.4 + 0.2 * noise)).said() == set()


def test_single_outliers_are_no_progress():
    values = [0.4 if k % 7 else 0.7 for k in range(1, 60)]
    assert Attempt().show(*values).said() == {"stalled"}


@pytest.mark.parametrize("how", [{}, {"moved": False}])
def test_a_hole_a_frozen_camera_or_unknown_progress_starts_the_time_anew(how):
    def hole(attempt: Attempt) -> None:
        attempt.miss(3.0)

    def frozen(attempt: Attempt) -> None:
        attempt.show(0.4, seen=False)

    def unknown(attempt: Attempt) -> None:
        attempt.show(UNKNOWN)

    for interrupt in (hole, frozen, unknown):
        attempt = Attempt()
        for _ in range(4):
            attempt.stay(0.4, 8.0, **how)
            interrupt(attempt)
        attempt.stay(0.4, 10.0, **how)
        assert attempt.said() == set(), interrupt
        assert attempt.stay(0.4, 1.0, **how).said(), interrupt


@pytest.mark.parametrize("between", [{"seen": False}, {"progress": UNKNOWN}])
def test_a_fall_has_to_be_seen_for_its_time(between):
    attempt = Attempt().stay(0.9, 3.0)
    for _ in range(5):
        attempt.stay(0.2, 2.5)
        attempt.show(between.get("progress", 0.2), seen=between.get("seen", True))
    assert attempt.said() == set()
    assert attempt.stay(0.2, 5.0).said() == {"regressed"}


def test_nothing_is_claimed_of_unknown_progress_or_of_pictures_that_nobody_took():
    assert Attempt().stay(UNKNOWN, 60.0).said() == set()
    assert Attempt().stay(0.0, 60.0, seen=False).said() == set()
    assert Attempt().stay(0.0, 60.0, seen=False, moved=False).said() == set()


def test_what_was_said_stands_until_the_opposite_is_seen():
    attempt = Attempt().stay(0.9, 3.0).stay(0.3, 20.0)
    assert attempt.said() == {"stalled", "regressed"}
    attempt.miss(60.0)
    attempt.stay(0.3, 2.0).stay(0.95, 2.0, seen=False).stay(UNKNOWN, 2.0)
    assert attempt.states[-1].stalled and attempt.states[-1].regressed
    attempt.stay(0.9, 2.0)  # reached while nobody looked: it is there
    assert not attempt.states[-1].stalled and not attempt.states[-1].regressed


def test_no_further_progress_can_be_asked_of_what_is_nearly_done():
    assert Attempt().show(*ramp(0.0, 0.95, 20.0)).stay(0.95, 30.0).said() == set()
    assert Attempt().stay(1.0, 30.0, moved=False).said() == set()


def test_who_is_done_may_wait():
    assert Attempt().stay(0.6, 30.0, moved=False, done=True).said() == set()
    attempt = Attempt().stay(0.6, 15.0).stay(0.6, 1.0, done=True)
    assert attempt.states[29].stalled and not attempt.states[-1].stalled


def test_merged_readings_are_no_hole_and_a_hole_between_their_frames_is_one():
    for steps, said in (([0.5] * 4, {"stalled"}), ([0.5, 1.0, 0.5], set())):
        detector, states = StallDetector(SETTINGS), []
        for k in range(20):
            frames = NewFrames()
            for step in steps:
                frames.take(step, moved=True, seen=True)
            states.append(detector.update(0.4, 2.0 * k, frames))
        assert {"stalled" for state in states if state.stalled} == said


def test_it_is_off_by_default_and_each_half_alone_can_be_on():
    stuck, dropped = [0.2] * 60, [0.9] * 6 + [0.1] * 60
    assert Attempt(StallSettings()).show(*dropped).said() == set()
    assert Attempt(StallSettings(stall_time=10.0)).show(*dropped).said() == {"stalled"}
    assert Attempt(StallSettings(regress_time=3.0)).show(*dropped).said() == {"regressed"}
    assert Attempt(StallSettings(regress_time=3.0)).show(*stuck, moved=False).said() == set()


def test_a_certain_no_is_known_progress():
    assert Attempt().stay(0.0, 15.0).said() == {"stalled"}


@pytest.mark.parametrize(
    "bad",
    [
        {"stall_time": -1.0},
        {"stall_time": math.inf},
        {"regress_time": math.nan},
        {"min_progress": 0.0},
        {"min_progress": 1.5},
        {"min_drop": math.nan},
        {"max_step": -1.0},
    ],
)
def test_settings_that_cannot_be_are_refused_with_a_sentence(bad):
    (name,) = bad
    with pytest.raises(StallError, match=rf"{name.replace('_', ' ')}.* expected .*\.$"):
        StallSettings(**bad)


@pytest.mark.parametrize("time", [0.0, -1.0, UNKNOWN])
def test_readings_come_in_time_order(time):
    attempt = Attempt().show(0.1)
    with pytest.raises(StallError, match="time order"):
        attempt.detector.update(0.1, time, NewFrames())
