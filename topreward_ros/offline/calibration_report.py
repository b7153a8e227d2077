"""What a calibration and its verification leave for people: files, and lines for the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from topreward_ros.method.calibrating import LabelledEpisode, episode_levels
from topreward_ros.method.calibration import Calibration, Interval, TaskCalibration
from topreward_ros.method.calibration_file import save_calibration
from topreward_ros.method.conformal import FalseStopBound
from topreward_ros.method.metrics import success_roc
from topreward_ros.method.verifying import Verification
from topreward_ros.offline.calibration_plot import draw_calibration
from topreward_ros.whole_file import written_whole

LEAST_DETECTION = 0.5
"""Share of successes detected below which a threshold is warned of."""


def write_calibration(
    calibration: Calibration, episodes: Sequence[LabelledEpisode], folder: Path
) -> None:
    """Writes calibration.yaml, calibration.json (all figures) and calibration.png."""
    save_calibration(calibration, folder / "calibration.yaml")
    tasks = [_task_figures(calibration, task, episodes) for task in calibration.tasks]
    _write_json({"setup": asdict(calibration.setup), "tasks": tasks}, folder / "calibration.json")
    draw_calibration(calibration, episodes, folder / "calibration.png")


def write_verifications(verifications: Sequence[Verification], folder: Path) -> None:
    """Writes verification.json."""
    figures = [asdict(one) | {"contradicted": one.contradicted} for one in verifications]
    _write_json({"tasks": figures}, folder / "verification.json")


def calibration_lines(calibration: Calibration) -> Iterator[str]:
    """Says in words what was measured, task by task."""
    for task in calibration.tasks:
        auc = task.auc
        yield (
            f"{_name(task)}: threshold {task.threshold:.3f} nat, from {task.failures} failures and "
            f"{task.successes} successes."
        )
        yield f"  {_promise(task)}, in attempts of up to {task.longest_failure:.1f} s."
        yield (
            f"  Successes detected: {_percent(task.detection_rate)}; ROC-AUC {auc.value:.3f} "
            f"[{auc.low:.3f}, {auc.high:.3f}]."
        )
        if task.detection_rate.value < LEAST_DETECTION:
            yield _warning(task)
        if task.ceiling < task.threshold:
            yield (
                f"  Warning: the ceiling of progress, {task.ceiling:.2f} nat, lies below the "
                f"threshold, {task.threshold:.2f}: progress reads 1.0 long before success is "
                "claimed. Half of these successes end below it; see calibration.png."
            )


def verification_lines(verifications: Sequence[Verification]) -> Iterator[str]:
    """Says in words what fresh episodes show, task by task."""
    for one in verifications:
        verdict = "CONTRADICTED" if one.contradicted else "not contradicted"
        yield f"{_name(one.task)}: {_promise(one.task)}: {verdict}."
        yield f"  {one.failures} fresh failures called a success: {_percent(one.false_stop_rate)}."
        if one.detection_rate:
            yield f"  {one.successes} fresh successes detected: {_percent(one.detection_rate)}."
            if one.detection_rate.value < LEAST_DETECTION:
                yield (
                    f"  Warning: only {one.detection_rate.value:.1%} of these successes are "
                    "detected. A threshold under which hardly anything counts as a success keeps "
                    "its promise on failures and is of little use."
                )


def _task_figures(
    calibration: Calibration, task: TaskCalibration, episodes: Sequence[LabelledEpisode]
) -> dict[str, object]:
    own = [one for one in episodes if one.instruction in task.instructions]
    levels = episode_levels(own, calibration.detector_of(task))
    roc = success_roc(levels, [one.success for one in own])
    return {
        **asdict(task),
        "roc": {
            "failures_called_success": list(roc.false_rate),
            "successes_detected": list(roc.true_rate),
            "least_level": [_finite(score) for score in roc.scores],
        },
        "episodes": [
            {
                "recording": one.name,
                "instruction": one.instruction,
                "success": one.success,
                "level": _finite(level),
            }
            for one, level in zip(own, levels, strict=True)
        ],
    }


def _warning(task: TaskCalibration) -> str:
    bound = FalseStopBound(task.false_stop_rate, task.confidence)
    allowed = bound.allowed_false_stops(task.failures)
    return (
        "  Warning: this threshold misses most successes. Either they take longer than any failure "
        f"({task.longest_failure:.1f} s; later ones are never claimed), or the model cannot tell "
        "these failures from successes (see calibration.png), or a few failures that look like "
        f"successes set it: {allowed} of {task.failures} may lie above it. Adding failures until "
        "the threshold pleases would void the confidence: calibrate a second time with fresh "
        f"failures only, their number fixed beforehand ({allowed + 1} may lie above with "
        f"{bound.failures_for(allowed + 1)})."
    )


def _name(task: TaskCalibration) -> str:
    more = f" and {len(task.instructions) - 1} more" if task.instructions[1:] else ""
    return f'"{task.instructions[0]}"{more}'


def _promise(task: TaskCalibration) -> str:
    return (
        f"At most {task.false_stop_rate:.1%} of failures like these are called a success "
        f"(confidence {task.confidence:.0%})"
    )


def _percent(share: Interval) -> str:
    return f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _write_json(figures: dict[str, object], path: Path) -> None:
    text = json.dumps(figures, indent=1, allow_nan=False)  # names of files in ASCII
    with written_whole(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")
