"""A calibration in the live node: used for its tasks, refused for any other setup."""

from __future__ import annotations

import math

import pytest
from calibration_files import CEILING, FLOOR, THRESHOLD, write_calibration
from reward_stack import ros, stack, write_checkpoint

TASK = "put the red cube on the disc"
OWN = -1.0


@pytest.fixture(scope="module", autouse=True)
def context():
    with ros():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", success_threshold=OWN)


@pytest.fixture(scope="module")
def calibration(model, tmp_path_factory):
    return write_calibration(model, tmp_path_factory.mktemp("calibrations") / "task.yaml", [TASK])


def test_floor_ceiling_and_threshold_of_the_task_are_used(model, calibration):
    with stack(model, instruction=TASK, calibration_file=calibration) as live:
        live.up()
        for reading in live.play(0, 2):
            expected = (reading.log_prob - FLOOR) / (CEILING - FLOOR)
            assert reading.progress == pytest.approx(min(max(expected, 0.0), 1.0), abs=1e-6)
            assert reading.progress_source == "calibrated"
            assert reading.success_threshold == THRESHOLD


def test_a_threshold_that_was_set_rules_over_the_calibrations(model, calibration):
    given = {"calibration_file": calibration, "success_threshold": -5.0}
    with stack(model, instruction=TASK, **given) as live:
        live.up()
        assert live.play(0, 0)[0].success_threshold == -5.0


def test_a_calibration_of_another_model_fails_configure_with_a_sentence(model, tmp_path):
    other = write_calibration(model, tmp_path / "other.yaml", [TASK], fingerprint="another")
    with stack(model, instruction=TASK, calibration_file=other) as live:
        assert not live.change("configure")
        live.wait(lambda: live.status("model") and "another" in live.status("model").message)
        assert live.state() == "unconfigured"


def test_a_rate_that_was_not_calibrated_fails_activate_with_a_sentence(model, calibration):
    with stack(model, instruction=TASK, calibration_file=calibration) as live:
        assert live.change("configure")
        assert not live.set(sample_rate=5.0)
        assert not live.change("activate")
        live.wait(lambda: live.status("model") and "sample rate" in live.status("model").message)
        assert live.state() == "inactive"
        assert not live.set(sample_rate=2.0)
        assert live.change("activate")


def test_a_task_that_was_not_calibrated_is_scored_and_never_a_success(model, calibration):
    with stack(model, instruction="open the drawer", calibration_file=calibration) as live:
        live.up()
        reading = live.play(0, 0)[0]
        assert math.isnan(reading.success_threshold) and reading.progress_source == "running"
        live.wait(lambda: (told := live.status("episode")) and told.level == b"\1")
        assert "open the drawer" in live.status("episode").message


def test_a_change_to_a_calibrated_task_starts_an_episode_under_its_threshold(model, calibration):
    with stack(model, instruction="open the drawer", calibration_file=calibration) as live:
        live.up()
        first = live.play(0, 0)[0]
        assert not live.set(instruction=TASK)
        live.wait(lambda: live.named("stopped"))
        assert live.named("stopped")[0].termination_reason == "instruction_changed"
        second = live.play(1, 1)[0]
        assert second.episode_id != first.episode_id and second.frames == 1
        assert second.success_threshold == THRESHOLD


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sample_rate": 10.0}, "the sample rate was 2, now 10"),
        ({"success_window": 5}, "the success window was 3, now 5"),
        ({"motion_gate": True}, "the motion gate was off, now on"),
    ],
)
def test_a_models_own_threshold_holds_only_for_what_it_was_made_for(model, change, words):
    with stack(model, instruction=TASK, **change) as live:
        live.up()
        assert math.isnan(live.play(0, 0)[0].success_threshold)
        live.wait(lambda: live.status("episode") and words in live.status("episode").message)
        assert live.status("episode").level == b"\1"
        assert "success is not claimed" in live.status("episode").message
        assert not live.set(success_threshold=-5.0)
        assert live.reset().success
        assert live.play(1, 1)[0].success_threshold == -5.0
        live.wait(lambda: live.status("episode").level == b"\0")


def test_a_models_own_threshold_holds_again_with_the_settings_it_was_made_for(model):
    with stack(model, instruction=TASK, sample_rate=10.0) as live:
        live.up()
        assert math.isnan(live.play(0, 0)[0].success_threshold)
        assert not live.set(sample_rate=2.0)
        assert live.reset().success
        assert live.play(1, 1)[0].success_threshold == OWN
