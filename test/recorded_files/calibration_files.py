"""Calibrations of a random model, as `calibrate` would write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from topreward_ros.method.calibration import Calibration, Interval, ScoringSetup, TaskCalibration
from topreward_ros.method.calibration_file import save_calibration
from topreward_ros.method.success import SuccessSettings
from topreward_ros.models.checkpoints.loading import load_scorer

FLOOR, CEILING, THRESHOLD = -20.0, -2.0, -9.5


def write_calibration(
    model: Path,
    path: Path,
    instructions: Sequence[str],
    *,
    threshold: float = THRESHOLD,
    longest_failure: float = 30.0,
    **other: object,
) -> str:
    """Writes a calibration for a model; `other` is what else its setup was. Returns the path."""
    scorer = load_scorer(str(model), device="cpu")
    setup = {
        "model": scorer.name,
        "fingerprint": scorer.fingerprint,
        "prompt": "raw",
        "frame_size": tuple(scorer.frame_size),
        "sample_rate": 2.0,
        "cameras": 1,
        "layout": "row",
        "camera_max_age": 0.5,
        "max_pairs": 64,
        "backend": scorer.backend.name,
        "motion_threshold": 4.0,
        **other,
    }
    task = calibrated_task(instructions, threshold, longest_failure)
    save_calibration(Calibration(ScoringSetup(**setup), SuccessSettings(), (task,)), path)
    return str(path)


def calibrated_task(
    instructions: Sequence[str], threshold: float = THRESHOLD, longest_failure: float = 30.0
) -> TaskCalibration:
    """One task, or statement, as it was calibrated."""
    return TaskCalibration(
        instructions=tuple(instructions),
        floor=FLOOR,
        ceiling=CEILING,
        threshold=threshold,
        false_stop_rate=0.05,
        confidence=0.95,
        failures=100,
        successes=100,
        false_stops=1,
        detection_rate=Interval(0.9, 0.85, 0.95),
        auc=Interval(0.95, 0.9, 0.99),
        longest_failure=longest_failure,
    )
