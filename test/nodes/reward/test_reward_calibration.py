"""A calibration in the live node: used for its tasks, refused for any other setup."""

from __future__ import annotations

import math

import pytest
from calibration_files import CEILING, FLOOR, THRESHOLD, write_calibration
from reward_stack import stack, write_checkpoint

TASK = "put the red cube on the disc"
OWN = -1.0
pytestmark = pytest.mark.usefixtures("context")


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


def test_no_success_is_claimed_after_the_longest_failure_and_diagnostics_say_so(model, tmp_path):
    # Success would latch at 2.0 s: the window of 3 is full at 1.0 s and held for 1 s.
    for longest in (1.5, 2.0):
        path = write_calibration(
            model, tmp_path / "short.yaml", [TASK], threshold=-19.0, longest_failure=longest
        )
        with stack(model, instruction=TASK, calibration_file=path) as live:
            live.up()
            readings = live.play(0, 5)
            assert min(reading.log_prob for reading in readings) > -19.0
            assert readings[-1].success == (longest == 2.0)
            live.wait(lambda: live.values("episode").get("readings") == "6")
            assert ("longer than 1.5 s" in live.status("episode").message) == (longest == 1.5)
            assert live.status("episode").level == (b"\1" if longest == 1.5 else b"\0")


def test_a_threshold_that_was_set_rules_over_the_calibrations(model, calibration):
    given = {"calibration_file": calibration, "success_threshold": -5.0}
    with stack(model, instruction=TASK, **given) as live:
        live.up()
        assert live.play(0, 0)[0].success_threshold == -5.0
        live.wait(lambda: live.values("episode").get("readings") == "1")
        assert live.status("episode").level == b"\0"


def test_a_threshold_below_the_calibrations_is_taken_with_a_warning(model, calibration):
    given = {"calibration_file": calibration, "success_threshold": -10.0}
    with stack(model, instruction=TASK, **given) as live:
        live.up()
        assert live.play(0, 0)[0].success_threshold == -10.0
        live.wait(lambda: (status := live.status("episode")) and status.level == b"\1")
        assert "-10 nat, below the calibrated -9.5" in live.status("episode").message


def test_a_calibration_of_another_model_fails_configure_with_a_sentence(model, tmp_path):
    other = write_calibration(model, tmp_path / "other.yaml", [TASK], fingerprint="another")
    with stack(model, instruction=TASK, calibration_file=other) as live:
        assert not live.change("configure")
        live.wait(lambda: live.status("model") and "another" in live.status("model").message)
        assert live.state() == "unconfigured"


@pytest.mark.parametrize(
    ("calibrated", "named"),
    [
        ({"cameras": 1}, "number of cameras was 1, now 2"),
        ({"layout": "main_inset"}, "layout was main_inset, now row"),
        ({"camera_max_age": 0.1}, "camera age limit was 0.1, now 0.5"),
        ({"max_pairs": 32}, "max_pairs was 32, now 64"),
    ],
)
def test_a_calibration_of_other_frames_fails_configure(model, tmp_path, calibrated, named):
    other = write_calibration(
        model, tmp_path / "other.yaml", [TASK], **{"cameras": 2, **calibrated}
    )
    with stack(model, cameras=2, instruction=TASK, calibration_file=other) as live:
        assert not live.change("configure")
        live.wait(lambda: live.status("model") and named in live.status("model").message)


def test_a_layout_that_was_not_calibrated_fails_activate_only_with_several_cameras(model, tmp_path):
    for cameras in (1, 2):
        path = write_calibration(model, tmp_path / f"{cameras}.yaml", [TASK], cameras=cameras)
        with stack(model, cameras=cameras, instruction=TASK, calibration_file=path) as live:
            assert live.change("configure")
            assert not live.set(layout="main_inset")
            assert live.change("activate") == (cameras == 1)


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
        ({"motion_gate": False}, "the motion gate was 4 grey levels, now off"),
        ({"motion_threshold": 8.0}, "the motion gate was 4 grey levels, now 8 grey levels"),
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
