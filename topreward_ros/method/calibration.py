"""A calibration: what was measured for a task, under which setup, and who may use it.

A threshold holds for the model, prompt and frames it was measured with, for the task it was
measured on, and for a detector that is at least as strict. So a calibration carries all of that,
and whoever uses it asks first. `calibrating.calibrate` makes one, `calibration_file` keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from topreward_ros.method.progress import CalibratedProgress, ProgressError
from topreward_ros.method.success import SuccessError, SuccessSettings

_OF_FRAMES = {
    "prompt": "prompt",
    "frame_size": "frame size",
    "sample_rate": "sample rate",
    "motion_threshold": "motion threshold",
    "max_pairs": "limit max_pairs",
    "cameras": "number of cameras",
}
"""What decides the log-probs beside the weights, in words."""
SAME_SCORE = 0.1
"""nat; how far two runs of one model may score a test clip apart, by 16-bit numbers and batches."""
LOCAL = "local"
"""The backend of files from before backends were noted: a model of this machine, in some format."""
_OF_SEVERAL_CAMERAS = {"layout": "layout", "camera_max_age": "camera age limit"}


class CalibrationError(ValueError):
    """A calibration with numbers that no measurement gives, or a file that holds none."""


class CalibrationMismatch(ValueError):
    """A calibration that was made for something else than what it is asked about."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence limits."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ScoringSetup:
    """What decides the log-probs of a video; another one, another calibration.

    Attributes:
        model: name it was loaded by; for people, as one model may lie in several places.
        fingerprint: identifies the weights (`VideoScorer.fingerprint`).
        prompt: name of the prompt form.
        frame_size: (height, width) px.
        sample_rate: frames per second.
        cameras: how many share a frame.
        layout: how they share it; as camera_max_age, it decides nothing where there is only one.
        camera_max_age: s between the pictures of a frame.
        max_pairs: pairs of frames kept at most.
        backend: name of what ran the model, its number format and settings (`Backend.name`).
        motion_threshold: grey levels of the motion gate; None: off.
    """

    model: str
    fingerprint: str
    prompt: str
    frame_size: tuple[int, int]
    sample_rate: float
    cameras: int
    layout: str
    camera_max_age: float
    max_pairs: int
    backend: str
    motion_threshold: float | None = None


@dataclass(frozen=True)
class TaskCalibration:
    """What was measured for one task.

    Attributes:
        instructions: the task in words; several when they were calibrated as one.
        floor: nat, "nothing done yet": median of the episodes' first log-prob.
        ceiling: nat, "done": median of the successes' final success score.
        threshold: nat; a success score above it counts.
        false_stop_rate: promised upper bound of the share of failures called a success, 0..1.
        confidence: of the promise and of the intervals, 0..1.
        failures: failed episodes calibrated with.
        successes: successful ones.
        false_stops: of those failures, how many lie above the threshold.
        detection_rate: share of those successes above the threshold, with its interval.
        auc: area under the ROC curve of the episodes' latch levels, with its interval.
        longest_failure: s; the promise is for attempts no longer than that, so no success latches
            later.
        recordings: digests of the recordings it was made from, as far as they are known.
    """

    instructions: tuple[str, ...]
    floor: float
    ceiling: float
    threshold: float
    false_stop_rate: float
    confidence: float
    failures: int
    successes: int
    false_stops: int
    detection_rate: Interval
    auc: Interval
    longest_failure: float
    recordings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses numbers that no measurement gives."""
        if not self.instructions:
            raise CalibrationError("A calibrated task has no instruction; expected at least one.")
        try:
            CalibratedProgress(self.floor, self.ceiling)
            SuccessSettings(self.threshold, max_time=self.longest_failure)
        except (ProgressError, SuccessError) as error:
            raise CalibrationError(f'Task "{self.instructions[0]}": {error}') from None
        for name in ("false_stop_rate", "confidence"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise CalibrationError(
                    f'Task "{self.instructions[0]}": {name} is {getattr(self, name)}; expected a '
                    "share between 0 and 1."
                )


@dataclass(frozen=True)
class Calibration:
    """All tasks that were calibrated under one setup.

    Attributes:
        setup: what decided the log-probs.
        detector: window, hold and minimum duration of the levels; it has no threshold and no end.
        tasks: at least one.
    """

    setup: ScoringSetup
    detector: SuccessSettings
    tasks: tuple[TaskCalibration, ...]

    def for_instruction(self, instruction: str) -> TaskCalibration:
        """The task with these words.

        Raises:
            CalibrationMismatch: it was not calibrated.
        """
        for task in self.tasks:
            if instruction in task.instructions:
                return task
        known = "; ".join(f'"{text}"' for task in self.tasks for text in task.instructions)
        raise CalibrationMismatch(
            f'The calibration has no task "{instruction}"; it was made for {known}. Calibrate this '
            "task too, or use no calibration for it."
        )

    def detector_of(self, task: TaskCalibration) -> SuccessSettings:
        """The detector that the promise for one of the tasks is about."""
        return replace(self.detector, threshold=task.threshold, max_time=task.longest_failure)

    def check(self, setup: ScoringSetup, detector: SuccessSettings) -> None:
        """Asks whether the calibration holds for a setup and a detector.

        A longer hold or minimum duration than the calibrated one only makes false stops rarer, so
        it is taken.

        Raises:
            CalibrationMismatch: it does not; the sentence names everything that differs.
        """
        differences = [
            f"{name} was {ours}, now {theirs}"
            for name, ours, theirs in (*self._of_setup(setup), *self._of_detector(detector))
        ]
        if differences:
            raise CalibrationMismatch(
                f"The calibration does not hold here: {'; '.join(differences)}. Calibrate again "
                "with these settings, or go back to the calibrated ones."
            )

    def _of_setup(self, setup: ScoringSetup) -> Iterable[tuple[str, object, object]]:
        if not _same_weights(self.setup.fingerprint, setup.fingerprint):
            ours, theirs = self.setup, setup
            yield (
                "the model",
                f'"{ours.model}" ({ours.fingerprint})',
                f'"{theirs.model}" ({theirs.fingerprint})',
            )
        if not _same_backend(self.setup.backend, setup.backend):
            yield "the backend", f'"{self.setup.backend}"', f'"{setup.backend}"'
        several = max(setup.cameras, self.setup.cameras) > 1
        for name, words in (_OF_FRAMES | _OF_SEVERAL_CAMERAS if several else _OF_FRAMES).items():
            ours, theirs = getattr(self.setup, name), getattr(setup, name)
            if ours != theirs:
                yield f"the {words}", ours, theirs

    def _of_detector(self, detector: SuccessSettings) -> Iterable[tuple[str, object, object]]:
        if detector.window != self.detector.window:
            yield "the success window", self.detector.window, detector.window
        for name in ("hold", "min_duration"):
            ours, theirs = getattr(self.detector, name), getattr(detector, name)
            if theirs < ours:
                yield f"the success {name.replace('_', ' ')}", f"{ours} s", f"{theirs} s"


def _same_weights(noted: str, now: str) -> bool:
    """Compares fingerprints; a served model's ends in its scores of a test clip, `@a,b` nat."""
    (ours, *before), (theirs, *after) = re.split("[@,]", noted), re.split("[@,]", now)
    if ours != theirs or len(before) != len(after):
        return False
    try:
        apart = [abs(float(a) - float(b)) for a, b in zip(before, after, strict=True)]
    except ValueError:
        return before == after
    return all(value <= SAME_SCORE for value in apart)


def _same_backend(noted: str, now: str) -> bool:
    return noted == now or (noted == LOCAL and now.split()[0] == LOCAL)
