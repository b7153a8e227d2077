"""What an episode is judged by: the settings, with a calibration's or the model's own threshold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from topreward_ros.method.calibration import Calibration, CalibrationMismatch
from topreward_ros.method.own_threshold import OwnThreshold
from topreward_ros.method.progress import CalibratedProgress
from topreward_ros.method.reward import RewardForm
from topreward_ros.method.stall import StallSettings
from topreward_ros.method.statement_states import AskedStatement
from topreward_ros.method.statements import Role, Statement
from topreward_ros.method.success import SuccessSettings
from topreward_ros.models.contract import VideoScorer
from topreward_ros.video.intake import IntakeSettings


@dataclass(frozen=True)
class EpisodeSettings:
    """How log-probabilities become progress, reward and success.

    Attributes:
        success: when an episode counts as done.
        reward_form: of the dense reward.
        progress: floor and ceiling from a calibration; None: what the episode has shown so far.
        stall: when progress counts as stalled or undone.
        statements: asked about beside the task.
    """

    success: SuccessSettings = field(default_factory=SuccessSettings)
    reward_form: RewardForm = RewardForm.DIFFERENCE
    progress: CalibratedProgress | None = None
    stall: StallSettings = field(default_factory=StallSettings)
    statements: tuple[AskedStatement, ...] = ()


def task_settings(
    scorer: VideoScorer,
    intake: IntakeSettings,
    detector: SuccessSettings,
    reward_form: RewardForm,
    calibration: Calibration | None,
    instruction: str,
) -> tuple[EpisodeSettings, str]:
    """Returns the settings of a task's episode, and a warning or "".

    An instruction that a calibration does not know runs without one, and success is not claimed
    for it unless a threshold was set. Nor is it under a model's own threshold where that does not
    hold for the settings, or once the episode is longer than all failures that its task was
    calibrated with.

    Args:
        scorer: the model.
        intake: how messages become frames.
        detector: as set; its threshold, where there is one, rules over all others.
        reward_form: as set.
        calibration: that holds for the model and the settings; None: none is used.
        instruction: the task.
    """
    detector = replace(detector, max_step=intake.longest_step)
    task, threshold, warning = None, detector.threshold, ""
    try:
        task = calibration.for_instruction(instruction) if calibration else None
    except CalibrationMismatch as error:
        warning = str(error)
    if threshold is None and task is not None:
        threshold = task.threshold
    elif threshold is None and calibration is None:
        own = OwnThreshold(scorer.success_threshold, scorer.sample_rate, scorer.motion_threshold)
        threshold, warning = own.here(intake.sample_rate, detector.window, intake.motion_threshold)
    elif task is not None and threshold < task.threshold:
        warning = (
            f"The success threshold is {threshold:g} nat, below the calibrated {task.threshold:g}: "
            "the calibration's bound on false stops does not hold. Set it no lower, or set none."
        )
    success = replace(detector, threshold=threshold)
    if task is None:
        return EpisodeSettings(success, reward_form), warning
    success = replace(success, max_time=task.longest_failure)
    progress = CalibratedProgress(task.floor, task.ceiling)
    return EpisodeSettings(success, reward_form, progress), warning


def asked_statement(
    scorer: VideoScorer,
    intake: IntakeSettings,
    detector: SuccessSettings,
    calibration: Calibration | None,
    statement: Statement,
) -> tuple[AskedStatement, str]:
    """Returns a statement as an episode asks it, and a warning or "".

    Its threshold is its own, or a calibration's that knows its text, or, unless it is a failure,
    the model's; the task's counts for the task alone. A failure ends the episode only by a
    calibrated threshold, or by its own where that is no lower.

    Args:
        scorer: the model.
        intake: how messages become frames.
        detector: of the task.
        calibration: that holds for the model and the settings; None: none is used.
        statement: as it was given.
    """
    own = replace(detector, threshold=statement.threshold)
    settings, warning = task_settings(
        scorer, intake, own, RewardForm.DIFFERENCE, calibration, statement.text
    )
    success, progress = settings.success, settings.progress
    if statement.role is not Role.FAILURE:
        warning = warning and f"Of the statement {statement.name!r}: {warning}"
        return AskedStatement(statement, success, progress), warning
    if progress is not None and not warning:
        return AskedStatement(statement, success, progress, ends=True), ""
    if statement.threshold is None and progress is None:
        # The model's own threshold was chosen on tasks, and to end an episode it is too little.
        success = replace(success, threshold=None)
    why = f" {warning}" if warning and calibration is not None else ""
    return AskedStatement(statement, success, progress), (
        f"The failure {statement.name!r} has no calibrated threshold: it is published, and ends no "
        f"episode.{why}"
    )
