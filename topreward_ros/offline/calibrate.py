"""The command `calibrate`: labelled recordings in; calibration file, figures and picture out."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from topreward_ros.method.calibrating import LabelledEpisode, calibrate, episode_levels
from topreward_ros.method.calibration import Calibration, ScoringSetup, TaskCalibration
from topreward_ros.method.calibration_file import save_calibration
from topreward_ros.method.conformal import FalseStopBound
from topreward_ros.method.metrics import success_roc
from topreward_ros.method.success import SuccessSettings
from topreward_ros.offline.calibrate_arguments import parse_arguments
from topreward_ros.offline.labelled_recordings import (
    LabelledRecording,
    LabelsError,
    label_paths,
    read_labels,
)
from topreward_ros.offline.score_file import ScoreFile
from topreward_ros.video.intake import IntakeSettings
from topreward_ros.video.recording import open_recording

if TYPE_CHECKING:
    from topreward_ros.models.contract import VideoScorer

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        The exit status: 0, 1 after a refusal with its reason, 130 after Ctrl-C.
    """
    options = parse_arguments(arguments)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        return _run(options, console)
    except KeyboardInterrupt:
        console.print(
            "\nInterrupted. The scores of finished episodes are kept; the same command goes on "
            "from there.",
            markup=False,
        )
        return INTERRUPTED
    except (ValueError, RuntimeError, OSError) as error:
        console.print(f"calibrate: {' '.join(str(error).split())}", markup=False)
        return 1


def _run(options: argparse.Namespace, console: Console) -> int:
    recordings = _recordings(options)
    bound = FalseStopBound(options.false_stop_rate, options.confidence)
    detector = SuccessSettings(None, options.window, options.hold, options.min_duration)
    scorer = _load(options)
    intake = IntakeSettings(
        sample_rate=options.sample_rate or scorer.sample_rate,
        camera_max_age=options.camera_max_age,
        layout=options.layout,
        motion_threshold=options.motion_threshold,
    )
    options.output.mkdir(parents=True, exist_ok=True)
    conditions = {
        "fingerprint": scorer.fingerprint,
        "cameras": options.cameras,
        "fps": options.fps,
        **asdict(intake),
    }
    with ScoreFile(options.output / "scores.jsonl", conditions) as scores:
        if scores.outdated:
            console.print("Scores of another model or frame setting are there; scoring anew.")
        episodes = _score_all(scorer, recordings, intake, options, scores, console)
    setup = ScoringSetup(
        model=scorer.name,
        fingerprint=scorer.fingerprint,
        prompt=scorer.prompt_form.value,
        frame_size=(int(scorer.frame_size[0]), int(scorer.frame_size[1])),
        sample_rate=intake.sample_rate,
        motion_threshold=intake.motion_threshold,
    )
    calibration = calibrate(episodes, setup, detector, bound, pooled=options.pool)
    _write(calibration, episodes, options.output)
    _report(calibration, options.output, console)
    return 0


def _recordings(options: argparse.Namespace) -> list[LabelledRecording]:
    if options.labels is not None:
        return read_labels(options.labels)
    if not options.instruction:
        raise LabelsError(
            "Give a folder with a labels.csv, or --instruction with --successes and --failures."
        )
    return label_paths(options.successes, options.failures, options.instruction)


def _load(options: argparse.Namespace) -> VideoScorer:
    from topreward_ros.models.loading import load_scorer

    return load_scorer(
        options.model,
        device=options.device,
        dtype=options.dtype,
        quantization=options.quantization,
        prompt=options.prompt_form,
        frame_size=tuple(options.frame_size) if options.frame_size else None,
        max_pairs=options.max_pairs,
        attention=options.attention,
    )


def _score_all(
    scorer: VideoScorer,
    recordings: list[LabelledRecording],
    intake: IntakeSettings,
    options: argparse.Namespace,
    scores: ScoreFile,
    console: Console,
) -> list[LabelledEpisode]:
    episodes = []
    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    live = console.is_terminal
    with Progress(*columns, console=console, disable=not live, transient=True) as bar:
        for number, recording in enumerate(bar.track(recordings), start=1):
            episode = scores.episode(recording)
            if episode is None:
                scores.add(recording, *_score(scorer, recording, intake, options))
                episode = scores.episode(recording)
                if not live:
                    console.print(f"{number} of {len(recordings)} {recording.path}", markup=False)
            episodes.append(episode)
    return episodes


def _score(
    scorer: VideoScorer,
    recording: LabelledRecording,
    intake: IntakeSettings,
    options: argparse.Namespace,
) -> tuple[list[float], list[float]]:
    from topreward_ros.offline.labels import score_recording

    try:
        readings = list(
            score_recording(
                scorer,
                open_recording(recording.path, options.fps),
                recording.instruction,
                intake=intake,
                cameras=options.cameras,
            )
        )
    except ValueError as error:
        raise LabelsError(f"{recording.path} cannot be scored: {error}") from error
    return [one.log_prob for one in readings], [one.episode_time for one in readings]


def _write(calibration: Calibration, episodes: list[LabelledEpisode], folder: Path) -> None:
    from topreward_ros.offline.calibration_plot import draw_calibration

    save_calibration(calibration, folder / "calibration.yaml")
    text = json.dumps(_figures(calibration, episodes), indent=1, allow_nan=False)
    (folder / "calibration.json").write_text(text + "\n", encoding="utf-8")
    draw_calibration(calibration, episodes, folder / "calibration.png")


def _figures(calibration: Calibration, episodes: list[LabelledEpisode]) -> dict[str, object]:
    tasks = []
    for task in calibration.tasks:
        own = [one for one in episodes if one.instruction in task.instructions]
        levels = episode_levels(own, calibration.detector)
        roc = success_roc(levels, [one.success for one in own])
        tasks.append(
            {
                **asdict(task),
                "roc": {
                    "failures_called_success": list(roc.false_rate),
                    "successes_detected": list(roc.true_rate),
                    "least_level": [_finite(score) for score in roc.scores],
                },
                "episodes": [
                    {"recording": one.name, "success": one.success, "level": _finite(level)}
                    for one, level in zip(own, levels, strict=True)
                ],
            }
        )
    return {"setup": asdict(calibration.setup), "tasks": tasks}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _report(calibration: Calibration, folder: Path, console: Console) -> None:
    for task in calibration.tasks:
        more = f" and {len(task.instructions) - 1} more" if task.instructions[1:] else ""
        detected, auc = task.detection_rate, task.auc
        console.print(
            f'"{task.instructions[0]}"{more}: threshold {task.threshold:.3f} nat, from '
            f"{task.failures} failures and {task.successes} successes.\n"
            f"  At most {task.false_stop_rate:.1%} of failures like these are called a success "
            f"(confidence {task.confidence:.0%}), in attempts of up to "
            f"{task.longest_failure:.1f} s.\n"
            f"  Successes detected: {detected.value:.1%} [{detected.low:.1%}, "
            f"{detected.high:.1%}]; ROC-AUC {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}].",
            markup=False,
        )
        if detected.value < 0.5:
            console.print(_warning(task), markup=False)
    console.print(f"Written to {folder}: calibration.yaml, .json, .png.", markup=False)


def _warning(task: TaskCalibration) -> str:
    bound = FalseStopBound(task.false_stop_rate, task.confidence)
    allowed = bound.allowed_false_stops(task.failures)
    return (
        "  Warning: this threshold misses most successes. Either the model cannot tell these "
        "failures from successes (see calibration.png), or a few failures that look like "
        f"successes set it: {allowed} of {task.failures} may lie above it, and with "
        f"{bound.failures_for(allowed + 1)} failures it would be {allowed + 1}."
    )


if __name__ == "__main__":
    sys.exit(main())
