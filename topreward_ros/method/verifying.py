"""Whether a calibration's promise holds on labelled episodes that it was not made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from topreward_ros.method.calibrating import (
    LabelledEpisode,
    episode_levels,
    repeated_recording,
)
from topreward_ros.method.calibration import Calibration, Interval, TaskCalibration
from topreward_ros.method.intervals import proportion_interval
from topreward_ros.method.recording_identity import share_pictures


class VerificationError(ValueError):
    """Episodes that cannot show whether the promise holds."""


@dataclass(frozen=True)
class Verification:
    """What fresh episodes show about one calibrated task.

    Attributes:
        task: what was promised.
        failures: fresh failed episodes.
        successes: fresh successful ones.
        false_stop_rate: share of the failures called a success, with its interval.
        detection_rate: share of the successes detected, with its interval; None: there were none.
    """

    task: TaskCalibration
    failures: int
    successes: int
    false_stop_rate: Interval
    detection_rate: Interval | None

    @property
    def contradicted(self) -> bool:
        """Whether the whole interval of the false-stop rate lies above what was promised."""
        return self.false_stop_rate.low > self.task.false_stop_rate


def check_fresh(calibration: Calibration, name: str, instruction: str, recording: str) -> None:
    """Makes sure that a calibration was not made from a recording.

    Args:
        calibration: is to be held against it.
        name: what people find the recording by.
        instruction: the task that it shows.
        recording: its digest; "": unknown.

    Raises:
        CalibrationMismatch: the instruction was not calibrated.
        VerificationError: the calibration was made from it.
    """
    known = calibration.for_instruction(instruction).recordings
    if any(share_pictures(recording, one) for one in known):
        raise VerificationError(
            f"{name} is one of the recordings that the calibration was made from, and cannot show "
            "whether it holds for others; verify with fresh ones only."
        )


def verify(
    calibration: Calibration, episodes: Sequence[LabelledEpisode]
) -> tuple[Verification, ...]:
    """Holds a calibration against fresh episodes, task by task.

    Args:
        calibration: scored under the same setup as the episodes.
        episodes: recorded after, or apart from, those it was made from.

    Raises:
        CalibrationMismatch: an episode's instruction was not calibrated.
        VerificationError: a task of the episodes has no failure among them, or an episode is not
            fresh, or there twice.
    """
    for one in episodes:
        check_fresh(calibration, one.name, one.instruction, one.recording)
    tasks = {one.instruction: calibration.for_instruction(one.instruction) for one in episodes}
    return tuple(
        _verify_task(
            calibration, task, [one for one in episodes if one.instruction in task.instructions]
        )
        for task in calibration.tasks
        if task in tasks.values()
    )


def _verify_task(
    calibration: Calibration, task: TaskCalibration, episodes: list[LabelledEpisode]
) -> Verification:
    if twice := repeated_recording(episodes):
        raise VerificationError(
            f"{twice} are the same recording; every recording counts once, so leave one of them "
            "out."
        )
    labels = np.array([one.success for one in episodes])
    levels = episode_levels(episodes, calibration.detector_of(task))
    failures, successes = int((~labels).sum()), int(labels.sum())
    if not failures:
        raise VerificationError(
            f'There is no labelled failure of "{task.instructions[0]}"; whether failures are '
            "called a success can be seen on failures only."
        )
    stopped = levels > task.threshold
    return Verification(
        task,
        failures,
        successes,
        proportion_interval(int(stopped[~labels].sum()), failures, task.confidence),
        proportion_interval(int(stopped[labels].sum()), successes, task.confidence)
        if successes
        else None,
    )
