"""From parameters, model and calibration to what an episode needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from topreward_ros.episode import Episode
from topreward_ros.episode_settings import asked_statement, task_settings
from topreward_ros.method.calibration import (
    Calibration,
    CalibrationMismatch,
    ScoringSetup,
)
from topreward_ros.method.calibration_file import load_calibration
from topreward_ros.method.reward import RewardForm
from topreward_ros.method.stall import StallSettings
from topreward_ros.method.statement_states import AskedStatement
from topreward_ros.method.statements import parse_statements
from topreward_ros.method.success import SuccessSettings
from topreward_ros.models.contract import ModelError
from topreward_ros.models.loading import open_scorer
from topreward_ros.models.served.address import parse_address
from topreward_ros.nodes.reward.parameters import RewardParameters
from topreward_ros.video.intake import IntakeSettings

if TYPE_CHECKING:
    from topreward_ros.models.contract import VideoScorer


def import_models(model: str) -> None:
    """Imports the machine-learning packages that a model needs.

    It takes seconds, in some of which no other thread runs: better before anyone waits for answers.

    Raises:
        ModelError: they are not installed, or do not fit this machine.
    """
    if parse_address(model) is not None:
        return  # its engine imports what it needs
    try:
        import topreward_ros.models.checkpoints.loading  # noqa: F401
    except (ImportError, OSError) as error:
        raise ModelError(
            f"PyTorch and transformers cannot be imported ({error}); install the packages of the "
            "extra `models`, as docs/robot.md says."
        ) from None


def model_loader(parameters: RewardParameters) -> Callable[[], VideoScorer]:
    """Returns what loads the model; it raises ModelError where that cannot be loaded."""

    def load() -> VideoScorer:
        import_models(parameters.model)
        return open_scorer(
            parameters.model,
            device=parameters.device,
            dtype=parameters.dtype,
            quantization=parameters.quantization,
            prompt=parameters.prompt_form,
            frame_size=tuple(parameters.frame_size) if any(parameters.frame_size) else None,
            max_pairs=parameters.max_pairs,
            patience=parameters.server_patience,
            attention=parameters.attention,
            fixed_shapes=None if parameters.cuda_graphs else False,
            rehearse=True,
        )

    return load


def read_calibration(parameters: RewardParameters) -> Calibration | None:
    """Returns the calibration that is asked for, if one is.

    Raises:
        CalibrationError: its file cannot be read.
    """
    if not parameters.calibration_file:
        return None
    return load_calibration(parameters.calibration_file)


def check_calibration(
    calibration: Calibration, parameters: RewardParameters, scorer: VideoScorer
) -> None:
    """Makes sure that a calibration holds for what is set now.

    Raises:
        CalibrationMismatch: it was made with another model, prompt, detector, or other frames.
    """
    setup = ScoringSetup(
        model=scorer.name,
        fingerprint=scorer.fingerprint,
        backend=scorer.backend.name,
        prompt=scorer.prompt_form.value,
        frame_size=tuple(scorer.frame_size),
        sample_rate=sample_rate(parameters, scorer),
        cameras=len(parameters.cameras),
        layout=parameters.layout,
        camera_max_age=parameters.camera_max_age,
        max_pairs=parameters.max_pairs,
        motion_threshold=_motion_threshold(parameters),
    )
    calibration.check(setup, _detector(parameters))


def intake_settings(parameters: RewardParameters, scorer: VideoScorer) -> IntakeSettings:
    """Returns how messages become frames."""
    return IntakeSettings(
        sample_rate=sample_rate(parameters, scorer),
        camera_max_age=parameters.camera_max_age,
        layout=parameters.layout,
        motion_threshold=_motion_threshold(parameters),
        frozen_check=parameters.frozen_check,
    )


def episode_maker(
    parameters: RewardParameters,
    scorer: VideoScorer,
    calibration: Calibration | None,
    instruction: str,
) -> tuple[Callable[[VideoScorer], Episode], str]:
    """Returns what makes the episode on the scoring thread, and a warning or "".

    The rules are those of `task_settings`.

    Raises:
        CalibrationMismatch: the calibration does not hold for what is set now.
    """
    if calibration is not None:
        check_calibration(calibration, parameters, scorer)
    intake = intake_settings(parameters, scorer)
    settings, warning = task_settings(
        scorer,
        intake,
        _detector(parameters),
        RewardForm(parameters.reward_form),
        calibration,
        instruction,
    )
    statements, _ = asked_statements(parameters, scorer, calibration)
    stall = _stall(parameters, intake.longest_step)
    settings = replace(settings, stall=stall, statements=statements)

    def make(loaded: VideoScorer) -> Episode:
        return Episode(loaded, instruction, settings)

    return make, warning


def asked_statements(
    parameters: RewardParameters, scorer: VideoScorer, calibration: Calibration | None
) -> tuple[tuple[AskedStatement, ...], tuple[str, ...]]:
    """Returns the statements as an episode asks them, and what is to be known of them."""
    intake, detector = intake_settings(parameters, scorer), _detector(parameters)
    asked = [
        asked_statement(scorer, intake, detector, calibration, one)
        for one in parse_statements(parameters.statements)
    ]
    return tuple(one for one, _ in asked), tuple(said for _, said in asked if said)


def promise_ends(calibration: Calibration | None, instruction: str) -> float | None:
    """Returns the s of an episode after which its calibration promises nothing; None: no end."""
    try:
        return calibration.for_instruction(instruction).longest_failure if calibration else None
    except CalibrationMismatch:
        return None


def sample_rate(parameters: RewardParameters, scorer: VideoScorer) -> float:
    """Returns frames per second of camera time."""
    return parameters.sample_rate or scorer.sample_rate


def _detector(parameters: RewardParameters) -> SuccessSettings:
    threshold = parameters.success_threshold
    return SuccessSettings(
        threshold=None if math.isnan(threshold) else threshold,
        window=parameters.success_window,
        hold=parameters.success_hold,
        min_duration=parameters.success_min_duration,
    )


def _stall(parameters: RewardParameters, longest_step: float) -> StallSettings:
    return StallSettings(
        stall_time=parameters.stall_time,
        min_progress=parameters.stall_min_progress,
        regress_time=parameters.regress_time,
        min_drop=parameters.regress_min_drop,
        max_step=longest_step,
    )


def _motion_threshold(parameters: RewardParameters) -> float | None:
    return parameters.motion_threshold if parameters.motion_gate else None
