"""From labelled episodes to a calibration: floor, ceiling, and a threshold with a promise.

Each episode counts with the level at which the live detector would have latched over the whole
attempt (`success.latch_level`), so what is promised is what the robot gets. Labels say how an
episode ended, not when, so a stop that comes early in an episode that succeeds later goes unseen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from topreward_ros.method.calibration import Calibration, ScoringSetup, TaskCalibration
from topreward_ros.method.conformal import FalseStopBound, TooFewFailuresError
from topreward_ros.method.intervals import auc_interval, proportion_interval
from topreward_ros.method.metrics import success_auc
from topreward_ros.method.progress import EPSILON
from topreward_ros.method.recording_identity import share_pictures
from topreward_ros.method.success import SuccessSettings, latch_level, success_scores


class CalibrationRefusedError(ValueError):
    """Episodes from which no trustworthy calibration follows."""


@dataclass(frozen=True)
class LabelledEpisode:
    """One scored episode with its label.

    Attributes:
        name: what people find it by.
        instruction: the task it was scored under.
        success: whether it ended with the task done.
        log_probs: (N,) nats, as the live node would have published them.
        episode_times: (N,) s since the episode's start.
        recording: digest of the recording, by which a copy of it is known; "": unknown.
        seen: (N,) whether each is of pictures that a camera took then; empty: all are.
    """

    name: str
    instruction: str
    success: bool
    log_probs: tuple[float, ...]
    episode_times: tuple[float, ...]
    recording: str = ""
    seen: tuple[bool, ...] = ()


def repeated_recording(episodes: Iterable[LabelledEpisode]) -> str | None:
    """Says which two episodes are one recording; it counts once, for attempts are independent."""
    known = [one for one in episodes if one.recording]
    digests: dict[str, list[LabelledEpisode]] = {}
    for one in known:
        others = digests.setdefault(one.recording.partition("@")[0], [])
        for other in others:
            if share_pictures(one.recording, other.recording):
                return f"{other.name} and {one.name}"
        others.append(one)
    return None


def episode_levels(
    episodes: Sequence[LabelledEpisode], detector: SuccessSettings
) -> NDArray[np.float64]:
    """(N,) latch level of each episode, in nats; minus infinity where success could not latch."""
    return np.array(
        [
            latch_level(one.log_probs, one.episode_times, detector, one.seen or None)
            for one in episodes
        ],
        dtype=np.float64,
    )


def calibrate(
    episodes: Sequence[LabelledEpisode],
    setup: ScoringSetup,
    detector: SuccessSettings,
    bound: FalseStopBound,
    *,
    pooled: bool = False,
) -> Calibration:
    """Calibrates every task among the episodes.

    Args:
        episodes: at least the failures that `bound` needs and two successes for each task, recorded
            as the robot will run: the promise is for failures like these.
        setup: what decided the log-probs.
        detector: window, hold and minimum duration of the live detector.
        bound: the promise.
        pooled: all instructions are one task with one threshold. It needs fewer episodes, and the
            promise is for the mix of instructions rather than for each.

    Raises:
        CalibrationRefusedError: too few episodes of a task (with the number needed), a recording
            that is among them twice, an episode that says nothing, or log-probs that do not rise
            when the task is done.
    """
    labels = [(one.instruction, one.success) for one in episodes]
    check_labels(labels, bound, pooled=pooled)
    groups = _groups((text for text, _ in labels), pooled)
    detector = replace(detector, threshold=None, max_time=None)
    tasks = tuple(
        _calibrate_task(
            [one for one in episodes if one.instruction in group], group, detector, bound
        )
        for group in groups
    )
    return Calibration(setup, replace(detector, max_step=None), tasks)


def check_labels(
    labels: Iterable[tuple[str, bool]], bound: FalseStopBound, *, pooled: bool = False
) -> None:
    """Makes sure that there are enough successes and failures, which labels alone can tell.

    Args:
        labels: instruction and success of each episode.
        bound: the promise.
        pooled: all instructions are one task.

    Raises:
        CalibrationRefusedError: there are too few of a task, with the number needed.
    """
    labels = list(labels)
    if not labels:
        raise CalibrationRefusedError("There are no episodes to calibrate with.")
    for group in _groups((text for text, _ in labels), pooled):
        own = [success for text, success in labels if text in group]
        successes = sum(own)
        if successes < 2:
            raise CalibrationRefusedError(
                f"Task {_name(group)} has {successes} labelled success{'' if successes else 'es'}; "
                "at least 2 are needed to see what done looks like, and some 20 for a useful "
                "detection rate."
            )
        try:
            bound.allowed_false_stops(len(own) - successes)
        except TooFewFailuresError as error:
            raise CalibrationRefusedError(f"Task {_name(group)}: {error}") from None


def _groups(instructions: Iterable[str], pooled: bool) -> tuple[tuple[str, ...], ...]:
    each = tuple(dict.fromkeys(instructions))
    return (each,) if pooled else tuple((text,) for text in each)


def _name(instructions: tuple[str, ...]) -> str:
    more = f" and {len(instructions) - 1} more" if instructions[1:] else ""
    return f'"{instructions[0]}"{more}'


def _calibrate_task(
    episodes: list[LabelledEpisode],
    instructions: tuple[str, ...],
    detector: SuccessSettings,
    bound: FalseStopBound,
) -> TaskCalibration:
    task = _name(instructions)
    if twice := repeated_recording(episodes):
        raise CalibrationRefusedError(
            f"For task {task} {twice} are the same recording; every recording counts once, so "
            "leave one of them out."
        )
    labels = np.array([one.success for one in episodes])
    longest = max((one.episode_times[-1] for one in episodes if not one.success), default=0.0)
    levels = episode_levels(episodes, replace(detector, max_time=longest))
    successes, failures = int(labels.sum()), int((~labels).sum())
    lowest = bound.threshold(levels[~labels])
    floor, ceiling = _progress_range(episodes, detector.window, task)
    # Raising a threshold keeps the promise, and below "nothing done yet" there is no success.
    threshold = min(max(lowest, floor), 0.0)
    return TaskCalibration(
        instructions=instructions,
        floor=floor,
        ceiling=ceiling,
        threshold=threshold,
        false_stop_rate=bound.rate,
        confidence=bound.confidence,
        failures=failures,
        successes=successes,
        false_stops=int((levels[~labels] > threshold).sum()),
        detection_rate=proportion_interval(
            int((levels[labels] > threshold).sum()), successes, bound.confidence
        ),
        auc=auc_interval(success_auc(levels, labels), successes, failures, bound.confidence),
        longest_failure=longest,
        recordings=tuple(sorted(one.recording for one in episodes if one.recording)),
    )


def _progress_range(episodes: list[LabelledEpisode], window: int, task: str) -> tuple[float, float]:
    starts, ends = [], []
    for one in episodes:
        finite = [value for value in one.log_probs if math.isfinite(value)]
        if not finite:
            raise CalibrationRefusedError(
                f"Episode {one.name} has no log-prob that is a number; leave it out, or record it "
                "anew."
            )
        starts.append(finite[0])
        if one.success:
            ends.append(success_scores(one.log_probs, window)[-1])
    unknown = sum(map(math.isnan, ends))
    if 2 * unknown > len(ends):
        raise CalibrationRefusedError(
            f"For task {task} {unknown} of {len(ends)} successes end with log-probs that are no "
            "numbers, so that nothing tells what done looks like; take a model that tells the "
            "answer's log-prob at any time, or leave these recordings out."
        )
    floor, ceiling = float(np.median(starts)), float(np.nanmedian(ends))
    if not ceiling - floor > EPSILON:
        raise CalibrationRefusedError(
            f"For task {task} the log-prob of successes ends at {ceiling:.3g} nat, no higher than "
            f"episodes start ({floor:.3g} nat): this model does not see the task being done. Check "
            "the instruction's words and the cameras, or take a larger model."
        )
    return floor, ceiling
