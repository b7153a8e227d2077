"""Rules of calibration: the promise holds, the file is read back, and misuse is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import yaml
from full_disk import full_disk
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from topreward_ros.method.calibrating import (
    CalibrationRefusedError,
    LabelledEpisode,
    calibrate,
    episode_levels,
)
from topreward_ros.method.calibration import (
    CalibrationError,
    CalibrationMismatch,
    ScoringSetup,
)
from topreward_ros.method.calibration_file import load_calibration, save_calibration
from topreward_ros.method.conformal import FalseStopBound, TooFewFailuresError
from topreward_ros.method.intervals import auc_interval, proportion_interval
from topreward_ros.method.metrics import success_auc
from topreward_ros.method.success import SuccessDetector, SuccessSettings
from topreward_ros.method.verifying import VerificationError, verify

TASK = "put the red cube on the green disc"
SETUP = ScoringSetup("demo", "a1b2c3", "raw", (96, 96), 2.0, 2, "row", 0.5, 256, "local float32")
DETECTOR = SuccessSettings(window=2, hold=0.5, min_duration=1.0)
BOUND = FalseStopBound(rate=0.1, confidence=0.9)


def curves(rng, count, success, instruction=TASK, length=12):
    """Curves that rise to about -1 on success and stay at about -6 on failure, with outliers."""
    rise = np.linspace(0.0, 1.0, length)
    made = []
    for index in range(count):
        end = rng.normal(-1.0, 0.5) if success else -6.0 + 1.5 * rng.standard_exponential()
        log_probs = np.minimum(-8.0 + rise * (end + 8.0) + rng.normal(0, 0.2, length), 0.0)
        name = f"{'success' if success else 'failure'}_{index}"
        times = tuple(0.5 * k for k in range(length))
        made.append(LabelledEpisode(name, instruction, success, tuple(log_probs), times))
    return made


def episodes(seed=0, failures=40, successes=30, instruction=TASK):
    rng = np.random.default_rng(seed)
    return [
        *curves(rng, failures, False, instruction),
        *curves(rng, successes, True, instruction),
    ]


def is_stopped(episode, settings, merged=False):
    detector = SuccessDetector(settings)
    for reading in zip(episode.log_probs, episode.episode_times, strict=True):
        if merged:
            detector.interrupt()
        state = detector.update(*reading)
    return state.success


@pytest.mark.parametrize(
    ("rate", "confidence", "needed"), [(0.05, 0.95, 59), (0.1, 0.9, 22), (0.01, 0.99, 459)]
)
def test_the_least_number_of_failures_is_the_published_one(rate, confidence, needed):
    bound = FalseStopBound(rate, confidence)
    assert bound.failures_needed == needed
    assert bound.allowed_false_stops(needed) == 0
    assert bound.failures_for(0) == needed
    with pytest.raises(TooFewFailuresError, match=f"needs at least {needed} .* record 1 more"):
        bound.allowed_false_stops(needed - 1)


@given(st.floats(0.01, 0.5), st.floats(0.5, 0.99), st.integers(1, 2000))
def test_as_many_failures_as_the_exact_binomial_tail_allows_may_lie_above(rate, confidence, count):
    bound = FalseStopBound(rate, confidence)
    if count < bound.failures_needed:
        return
    allowed = bound.allowed_false_stops(count)
    assert binom.cdf(allowed, count, rate) <= 1 - confidence + 1e-9
    assert binom.cdf(allowed + 1, count, rate) > 1 - confidence


def test_one_more_failure_may_lie_above_from_the_number_that_is_named_on():
    bound = FalseStopBound(0.05, 0.95)
    # The classical sizes for 95 % / 95 % tolerance limits (Wilks).
    assert [bound.failures_for(allowed) for allowed in (0, 1, 2)] == [59, 93, 124]
    assert [bound.allowed_false_stops(count) for count in (92, 93, 123, 124)] == [0, 1, 1, 2]


def test_the_threshold_is_the_order_statistic_and_counts_ties_as_failures():
    bound = FalseStopBound(0.1, 0.9)
    levels = np.arange(-38.0, 0.0)
    assert bound.allowed_false_stops(38) == 1
    assert bound.threshold(levels) == -2.0
    assert bound.threshold(np.full(38, -3.0)) == -3.0
    assert bound.threshold([-math.inf] * 37 + [-1.0]) == -math.inf


DISTRIBUTIONS = {
    "normal": (lambda rng, size: rng.normal(-5.0, 1.0, size), lambda t: norm.sf(t, -5.0, 1.0)),
    "heavy tail": (
        lambda rng, size: -6.0 + rng.standard_exponential(size) ** 2,
        lambda t: math.exp(-math.sqrt(max(t + 6.0, 0.0))),
    ),
    "three values": (
        lambda rng, size: rng.choice([-9.0, -5.0, -1.0], size, p=[0.6, 0.32, 0.08]),
        lambda t: 0.6 * (t < -9.0) + 0.32 * (t < -5.0) + 0.08 * (t < -1.0),
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("count", [22, 60, 150])
def test_the_promised_false_stop_rate_is_held_as_often_as_the_confidence_says(name, count):
    draw, false_stop_rate = DISTRIBUTIONS[name]
    bound = FalseStopBound(rate=0.1, confidence=0.9)
    rng = np.random.default_rng(7)
    held = sum(
        false_stop_rate(bound.threshold(draw(rng, count))) <= bound.rate for _ in range(1000)
    )
    # Three standard errors of a share of 0.9 among 1000 are 0.028.
    assert held / 1000 >= 0.9 - 0.028


def test_neither_the_best_looking_threshold_nor_the_plain_quantile_would_hold_the_promise():
    rng = np.random.default_rng(7)
    bound = FalseStopBound(rate=0.1, confidence=0.9)
    held = {"youden": 0, "quantile": 0, "promise": 0}
    for _ in range(300):
        failures, successes = rng.normal(-5.0, 1.0, 60), rng.normal(-3.0, 1.0, 60)
        candidates = np.sort(np.concatenate([failures, successes]))
        youden = [(successes > t).mean() - (failures > t).mean() for t in candidates]
        thresholds = {
            "youden": candidates[int(np.argmax(youden))],
            "quantile": np.quantile(failures, 0.9, method="higher"),
            "promise": bound.threshold(failures),
        }
        for name, threshold in thresholds.items():
            held[name] += norm.sf(threshold, -5.0, 1.0) <= bound.rate
    assert held["promise"] >= 0.85 * 300
    assert held["youden"] < 0.5 * 300
    assert held["quantile"] < 0.7 * 300


def test_a_calibrated_detector_holds_the_promise_on_new_episodes():
    fresh = [*curves(np.random.default_rng(99), 500, False)]
    held = 0
    for seed in range(20):
        threshold = calibrate(episodes(seed), SETUP, DETECTOR, BOUND).tasks[0].threshold
        settings = replace(DETECTOR, threshold=threshold)
        held += np.mean(episode_levels(fresh, settings) > threshold) <= BOUND.rate
    assert held >= 16


def test_false_stops_and_detections_are_those_of_the_live_detector():
    made = episodes()
    task = calibrate(made, SETUP, DETECTOR, BOUND).for_instruction(TASK)
    settings = replace(DETECTOR, threshold=task.threshold)
    stopped = [is_stopped(one, settings) for one in made]
    assert task.failures == 40
    assert task.successes == 30
    assert task.false_stops == sum(stopped[:40]) == BOUND.allowed_false_stops(40)
    assert task.detection_rate.value == sum(stopped[40:]) / 30
    assert task.longest_failure == 5.5


def test_readings_that_are_merged_by_two_would_break_the_promise_if_nobody_noticed():
    rng = np.random.default_rng(2)
    detector = SuccessSettings()
    times = tuple(0.5 * k for k in range(40))
    noise = rng.normal(-5.0, 2.0, (400, 40)).clip(max=0.0)
    failures = [LabelledEpisode("", TASK, False, tuple(curve), times) for curve in noise]
    merged = [
        replace(one, log_probs=one.log_probs[::2], episode_times=one.episode_times[::2])
        for one in failures
    ]
    levels = episode_levels(failures, detector)
    threshold = float(np.quantile(levels, 1.0 - BOUND.rate))
    assert np.mean(levels > threshold) <= BOUND.rate
    assert np.mean(episode_levels(merged, detector) > threshold) > 1.3 * BOUND.rate
    noticing = replace(detector, threshold=threshold)
    assert not any(is_stopped(one, noticing, merged=True) for one in merged)


def test_floor_is_where_episodes_start_and_ceiling_where_successes_end():
    made = episodes()
    task = calibrate(made, SETUP, DETECTOR, BOUND).tasks[0]
    assert task.floor == np.median([one.log_probs[0] for one in made])
    ends = [np.mean(one.log_probs[-2:]) for one in made if one.success]
    assert task.ceiling == pytest.approx(np.median(ends))


def test_the_promise_reaches_as_far_as_the_longest_failure_and_no_success_stretches_it():
    made = episodes()
    slow = replace(made[-1], episode_times=tuple(3.0 * time for time in made[-1].episode_times))
    assert calibrate([*made, slow], SETUP, DETECTOR, BOUND).tasks[0].longest_failure == 5.5


def test_success_after_the_longest_failure_is_no_detection_in_calibration_and_verification():
    made = episodes()
    slow = [
        replace(one, episode_times=tuple(6.0 + time for time in one.episode_times))
        if one.success
        else one
        for one in made
    ]
    calibration = calibrate(slow, SETUP, DETECTOR, BOUND)
    assert calibration.tasks[0].detection_rate.value == 0.0
    assert (
        calibration.tasks[0].threshold == calibrate(made, SETUP, DETECTOR, BOUND).tasks[0].threshold
    )
    assert calibration.detector == DETECTOR
    late = [replace(one, success=False) for one in slow if one.success]
    assert verify(calibration, late)[0].false_stop_rate.value == 0.0


def test_failures_that_cannot_latch_leave_the_threshold_at_the_floor():
    short = [replace(one, log_probs=(-8.0,), episode_times=(0.0,)) for one in episodes()[:40]]
    task = calibrate([*short, *episodes()[40:]], SETUP, DETECTOR, BOUND).tasks[0]
    assert task.threshold == task.floor


def test_each_instruction_has_its_own_threshold_unless_they_are_pooled():
    made = [*episodes(0), *episodes(1, instruction="fold the towel")]
    own = calibrate(made, SETUP, DETECTOR, BOUND)
    assert len({task.threshold for task in own.tasks}) == 2
    assert own.for_instruction("fold the towel").failures == 40
    pooled = calibrate(made, SETUP, DETECTOR, BOUND, pooled=True)
    assert pooled.for_instruction(TASK) is pooled.for_instruction("fold the towel")
    assert pooled.tasks[0].failures == 80


def test_too_few_failures_are_refused_with_the_number_needed():
    with pytest.raises(CalibrationRefusedError) as refusal:
        calibrate(episodes(failures=20), SETUP, DETECTOR, BOUND)
    for part in (TASK, "at least 22", "there are 20", "record 2 more", "0.11 at best"):
        assert part in str(refusal.value)
    with pytest.raises(CalibrationRefusedError, match="there are 0"):
        calibrate(episodes(failures=0), SETUP, DETECTOR, BOUND)


def test_episodes_that_cannot_calibrate_are_refused_with_the_reason():
    with pytest.raises(CalibrationRefusedError, match="no episodes"):
        calibrate([], SETUP, DETECTOR, BOUND)
    with pytest.raises(CalibrationRefusedError, match="has 1 labelled success;"):
        calibrate(episodes(successes=1), SETUP, DETECTOR, BOUND)
    blind = [replace(one, log_probs=(-5.0,) * 12) for one in episodes()]
    with pytest.raises(CalibrationRefusedError, match="does not see the task being done"):
        calibrate(blind, SETUP, DETECTOR, BOUND)
    unknown = [*episodes(), replace(episodes()[0], name="bag_7", log_probs=(math.nan,) * 12)]
    with pytest.raises(CalibrationRefusedError, match="bag_7"):
        calibrate(unknown, SETUP, DETECTOR, BOUND)


@pytest.mark.parametrize("share", [{"rate": 0.0}, {"rate": 1.0}, {"confidence": math.nan}])
def test_a_promise_that_nothing_can_show_is_refused(share):
    with pytest.raises(ValueError, match="between 0 and 1"):
        FalseStopBound(**share)


def test_a_share_has_the_exact_interval():
    # Clopper-Pearson by hand: all of n hit, lower limit (alpha / 2)^(1 / n).
    interval = proportion_interval(20, 20, 0.95)
    assert (interval.value, interval.high) == (1.0, 1.0)
    assert interval.low == pytest.approx(0.025 ** (1 / 20))


def test_the_interval_of_an_auc_covers_it_and_stays_honest_when_classes_are_separated():
    rng = np.random.default_rng(3)
    labels = np.repeat([True, False], [40, 60])
    for auc in (0.65, 0.9):
        shift, covered = norm.ppf(auc) * math.sqrt(2.0), 0
        for _ in range(120):
            found = success_auc(rng.normal(size=100) + shift * labels, labels)
            interval = auc_interval(found, 40, 60, 0.95)
            covered += interval.low <= auc <= interval.high
        assert covered >= 0.89 * 120
    perfect = auc_interval(1.0, 40, 60, 0.95)
    assert perfect.high == 1.0
    assert 0.9 < perfect.low < 0.99


def test_a_full_disk_keeps_the_calibration_of_before(tmp_path):
    path = tmp_path / "calibration.yaml"
    path.write_text("of before")
    with full_disk(100), pytest.raises(OSError, match="too large"):
        save_calibration(calibrate(episodes(), SETUP, DETECTOR, BOUND), path)
    assert path.read_text() == "of before" and list(tmp_path.iterdir()) == [path]


def test_a_saved_calibration_is_read_back_as_it_was(tmp_path):
    made = [replace(one, recording=one.name) for one in episodes(instruction="Würfel → Scheibe")]
    calibration = calibrate(made, SETUP, DETECTOR, BOUND)
    save_calibration(calibration, tmp_path / "a.yaml")
    assert load_calibration(tmp_path / "a.yaml") == calibration
    save_calibration(load_calibration(tmp_path / "a.yaml"), tmp_path / "b.yaml")
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()
    gated = replace(calibration, setup=replace(SETUP, motion_threshold=4.0))
    save_calibration(gated, tmp_path / "c.yaml")
    assert load_calibration(tmp_path / "c.yaml") == gated


@pytest.mark.parametrize(
    ("where", "value", "sentence"),
    [
        (["format"], "other", "not a calibration"),
        (["version"], 4, "version 4"),
        (["version"], 1, "version 1, and 3 is read here; calibrate again"),
        (["setup", "frame_size"], [96], "setup.frame_size is .96.; expected .height, width."),
        (["setup", "fingerprint"], None, "setup.fingerprint"),
        (["setup", "camera"], "wrist", "setup.camera is unknown"),
        (["detector", "hold"], -1.0, "hold"),
        (["detector", "window"], "three", "detector.window is 'three'; expected a count"),
        (["tasks"], [], "no tasks"),
        (["tasks", 0, "threshold"], math.nan, "tasks.0..threshold"),
        (["tasks", 0, "threshold"], 3.0, "threshold"),
        (["tasks", 0, "ceiling"], -99.0, "floor"),
        (["tasks", 0, "confidence"], 1.5, "confidence"),
        (["tasks", 0, "auc"], 0.9, "tasks.0..auc"),
        (["tasks", 0, "instructions"], TASK, "list of texts"),
        (["tasks", 0, "instructions"], [], "no instruction"),
        (["tasks", 0, "failures"], -4, "tasks.0..failures"),
        (["tasks", 0, "longest_failure"], -4.0, "time limit"),
    ],
)
def test_a_damaged_file_is_refused_by_field(tmp_path, where, value, sentence):
    path = tmp_path / "calibration.yaml"
    save_calibration(calibrate(episodes(), SETUP, DETECTOR, BOUND), path)
    document = yaml.safe_load(path.read_text())
    section = document
    for key in where[:-1]:
        section = section[key]
    section[where[-1]] = value
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(CalibrationError, match=sentence) as refusal:
        load_calibration(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "tasks: [", "\x00", "just text", "- a\n- b"])
def test_a_file_that_is_no_calibration_is_refused(tmp_path, text):
    path = tmp_path / "calibration.yaml"
    path.write_text(text)
    with pytest.raises(CalibrationError, match="it is not a"):
        load_calibration(path)
    with pytest.raises(CalibrationError, match="cannot be read"):
        load_calibration(tmp_path / "absent.yaml")


def test_a_calibration_holds_for_its_own_setup_and_for_a_stricter_detector():
    calibration = calibrate(episodes(), SETUP, DETECTOR, BOUND)
    calibration.check(replace(SETUP, model="/models/demo"), DETECTOR)
    calibration.check(SETUP, replace(DETECTOR, hold=2.0, min_duration=5.0, threshold=-1.0))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"fingerprint": "ffff", "model": "Qwen/Qwen3-VL-8B-Instruct"}, "Qwen/Qwen3-VL-8B"),
        ({"prompt": "chat"}, "prompt was raw, now chat"),
        ({"frame_size": (256, 256)}, "frame size was .96, 96., now .256, 256."),
        ({"sample_rate": 4.0}, "sample rate was 2.0, now 4.0"),
        ({"motion_threshold": 4.0}, "motion threshold was None, now 4.0"),
        ({"cameras": 1}, "number of cameras was 2, now 1"),
        ({"layout": "main_inset"}, "layout was row, now main_inset"),
        ({"camera_max_age": 0.1}, "camera age limit was 0.5, now 0.1"),
        ({"max_pairs": 64}, "max_pairs was 256, now 64"),
        ({"backend": "local bfloat16"}, 'the backend was "local float32", now "local bfloat16"'),
    ],
)
def test_another_setup_is_refused_by_what_differs(change, named):
    calibration = calibrate(episodes(), SETUP, DETECTOR, BOUND)
    with pytest.raises(CalibrationMismatch, match=named):
        calibration.check(replace(SETUP, **change), DETECTOR)


def test_a_file_from_before_backends_were_noted_holds_for_models_of_this_machine(tmp_path):
    path = tmp_path / "calibration.yaml"
    save_calibration(calibrate(episodes(), SETUP, DETECTOR, BOUND), path)
    document = yaml.safe_load(path.read_text())
    del document["setup"]["backend"]
    path.write_text(yaml.safe_dump({**document, "version": 2}))
    calibration = load_calibration(path)
    for backend in ("local float32", "local bfloat16 int8"):
        calibration.check(replace(SETUP, backend=backend), DETECTOR)
    with pytest.raises(CalibrationMismatch, match='the backend was "local", now "vllm'):
        calibration.check(replace(SETUP, backend="vllm 0.32.0 float32"), DETECTOR)


def test_one_camera_may_have_any_layout_and_age_limit():
    alone = replace(SETUP, cameras=1)
    calibration = calibrate(episodes(), alone, DETECTOR, BOUND)
    calibration.check(replace(alone, layout="main_inset", camera_max_age=0.1), DETECTOR)
    with pytest.raises(CalibrationMismatch, match="number of cameras was 1, now 2; the layout was"):
        calibration.check(replace(SETUP, layout="main_inset"), DETECTOR)


@pytest.mark.parametrize("change", [{"window": 3}, {"hold": 0.2}, {"min_duration": 0.0}])
def test_a_laxer_or_different_detector_is_refused(change):
    calibration = calibrate(episodes(), SETUP, DETECTOR, BOUND)
    with pytest.raises(CalibrationMismatch, match=next(iter(change)).replace("_", " ")):
        calibration.check(SETUP, replace(DETECTOR, **change))


def test_fresh_episodes_are_counted_as_the_live_detector_would():
    calibration = calibrate(episodes(0), SETUP, DETECTOR, BOUND)
    fresh = episodes(5, failures=300, successes=100)
    (shown,) = verify(calibration, fresh)
    settings = replace(DETECTOR, threshold=calibration.tasks[0].threshold)
    stopped = [is_stopped(one, settings) for one in fresh]
    assert shown.false_stop_rate == proportion_interval(sum(stopped[:300]), 300, 0.9)
    assert shown.detection_rate == proportion_interval(sum(stopped[300:]), 100, 0.9)
    assert not shown.contradicted


def test_a_promise_is_contradicted_only_by_more_false_stops_than_chance_explains():
    calibration = calibrate(episodes(0), SETUP, DETECTOR, BOUND)
    stopped = [replace(one, success=False) for one in episodes(1) if one.success]
    harmless = [replace(one, log_probs=(-8.0,) * 12) for one in stopped]
    (some,) = verify(calibration, [*harmless[:9], *stopped[:1]])
    assert some.false_stop_rate.value <= 0.1
    assert not some.contradicted
    (all_,) = verify(calibration, [replace(one, log_probs=(0.0,) * 12) for one in stopped])
    assert all_.contradicted
    assert all_.detection_rate is None


def test_episodes_that_cannot_show_false_stops_are_refused():
    calibration = calibrate(episodes(), SETUP, DETECTOR, BOUND)
    with pytest.raises(VerificationError, match="no labelled failure"):
        verify(calibration, [one for one in episodes() if one.success])
    with pytest.raises(CalibrationMismatch, match="no task"):
        verify(calibration, episodes(instruction="fold"))


def test_one_recording_never_counts_twice_nor_shows_what_was_learnt_from_it():
    made = [replace(one, recording=one.name) for one in episodes()]
    again = replace(made[3], name="copy")
    with pytest.raises(CalibrationRefusedError, match="failure_3 and copy are the same recording"):
        calibrate([*made, again], SETUP, DETECTOR, BOUND)
    other = [replace(one, instruction="fold the towel") for one in made]
    calibration = calibrate([*made, *other], SETUP, DETECTOR, BOUND)
    assert set(calibration.tasks[0].recordings) == {one.name for one in made}
    with pytest.raises(CalibrationRefusedError, match="are the same recording"):
        calibrate([*made, *other], SETUP, DETECTOR, BOUND, pooled=True)
    with pytest.raises(VerificationError, match="copy is one of the recordings"):
        verify(calibration, [again])
    fresh = replace(again, recording="fresh")
    assert verify(calibration, [fresh])[0].failures == 1
    with pytest.raises(VerificationError, match="copy and copy are the same recording"):
        verify(calibration, [fresh, fresh])


def test_a_task_that_was_not_calibrated_is_refused_with_those_that_were():
    calibration = calibrate(episodes(), SETUP, DETECTOR, BOUND)
    with pytest.raises(CalibrationMismatch, match=f'no task "fold".*"{TASK}"'):
        calibration.for_instruction("fold")
