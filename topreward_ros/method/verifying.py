"""Whether a calibration's promise holds on labelled episodes that it was not made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from topreward_ros.method.calibrating import LabelledEpisode, episode_levels
from topreward_ros.method.calibration import Calibration, Interval, TaskCalibration
from topreward_ros.method.intervals import proportion_interval


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


def verify(
    calibration: Calibration, episodes: Sequence[LabelledEpisode]
) -> tuple[Verification, ...]:
    """Holds a calibration against fresh episodes, task by task.

    Args:
        calibration: scored under the same setup as the episodes.
        episodes: recorded after, or apart from, those it was made from.

    Raises:
        CalibrationMismatch: an episode's instruction was not calibrated.
        VerificationError: a task of the episodes has no failure among them.
    """
    tasks = {one.instruction: calibration.for_instruction(one.instruction) for one in episodes}
    return tuple(
        _verify_task(
            task,
            np.array([one.success for one in episodes if one.instruction in task.instructions]),
            episode_levels(
                [one for one in episodes if one.instruction in task.instructions],
                calibration.detector_of(task),
            ),
        )
        for task in calibration.tasks
        if task in tasks.values()
    )


def _verify_task(task: TaskCalibration, labels: np.ndarray, levels: np.ndarray) -> Verification:
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
