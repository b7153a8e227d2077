"""The command `calibrate`: labelled recordings in; calibration file, figures and picture out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from topreward_ros.commands import INTERRUPTED
from topreward_ros.method.calibrating import (
    CalibrationRefusedError,
    LabelledEpisode,
    calibrate,
    check_labels,
)
from topreward_ros.method.calibration import Calibration
from topreward_ros.method.calibration_file import load_calibration
from topreward_ros.method.conformal import FalseStopBound
from topreward_ros.method.unknown_scores import unknown_scores
from topreward_ros.method.verifying import check_fresh, verify
from topreward_ros.offline.calibrate_arguments import parse_arguments
from topreward_ros.offline.calibration_report import (
    calibration_lines,
    verification_lines,
    write_calibration,
    write_verifications,
)
from topreward_ros.offline.labelled_recordings import (
    LabelledRecording,
    LabelsError,
    label_paths,
    read_labels,
)
from topreward_ros.offline.recording_digest import recording_digest
from topreward_ros.offline.score_file import ScoreFile
from topreward_ros.offline.scoring_options import (
    detector_settings,
    intake_settings,
    load_model,
    scoring_setup,
)
from topreward_ros.printable import printable

if TYPE_CHECKING:
    from topreward_ros.method.calibration import ScoringSetup
    from topreward_ros.models.contract import VideoScorer
    from topreward_ros.video.intake import IntakeSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        The exit status: 0; 1 after a refusal with its reason, or where `--verify` contradicts the
        calibration; 130 after Ctrl-C.
    """
    options = parse_arguments(arguments)
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    try:
        return _run(options, console)
    except KeyboardInterrupt:
        console.print(
            "\nInterrupted. The scores of finished episodes are kept; the same command goes on "
            "from there."
        )
        return INTERRUPTED
    except (ValueError, RuntimeError, OSError) as error:
        console.print(printable(f"calibrate: {' '.join(str(error).split())}"))
        return 1


def _run(options: argparse.Namespace, console: Console) -> int:
    recordings = _recordings(options)
    bound = FalseStopBound(options.false_stop_rate, options.confidence)
    detector = detector_settings(options)
    reference = load_calibration(options.verify) if options.verify else None
    if not reference:
        _check_labels(recordings, bound, pooled=options.pool)
    scorer = load_model(options)
    intake = intake_settings(options, scorer)
    detector = replace(detector, max_step=intake.longest_step)
    first = recordings[0].open(options.fps)
    setup = scoring_setup(scorer, intake, options, first)
    if reference:
        reference.check(setup, reference.detector)
        lasting = replace(reference.detector, max_step=intake.longest_step)
        reference = replace(reference, detector=lasting)
        for one in recordings:
            digest = recording_digest(one.path, one.part)
            check_fresh(reference, one.name, one.instruction, digest)
    episodes = _score_all(scorer, setup, recordings, intake, options, console)
    curves = [one.log_probs for one in episodes]
    if unknown := unknown_scores(curves, censored=scorer.backend.censored):
        console.print(printable(f"Warning: {unknown}"))
    if reference:
        return _verify(reference, episodes, options, console)
    calibration = calibrate(episodes, setup, detector, bound, pooled=options.pool)
    write_calibration(calibration, episodes, options.output)
    for line in calibration_lines(calibration):
        console.print(printable(line))
    console.print(printable(f"Written to {options.output}: calibration.yaml, .json, .png."))
    return 0


def _check_labels(
    recordings: list[LabelledRecording], bound: FalseStopBound, *, pooled: bool
) -> None:
    """Refuses what the labels alone tell, before anything is loaded and scored for minutes."""
    try:
        check_labels([(one.instruction, one.success) for one in recordings], bound, pooled=pooled)
    except CalibrationRefusedError as error:
        tasks = len({one.instruction for one in recordings})
        if pooled or tasks == 1:
            raise
        raise CalibrationRefusedError(
            f"{error} Or --pool takes all {tasks} instructions as one task, with one promise for "
            "their mix."
        ) from None


def _verify(
    reference: Calibration,
    episodes: list[LabelledEpisode],
    options: argparse.Namespace,
    console: Console,
) -> int:
    verifications = verify(reference, episodes)
    write_verifications(verifications, options.output)
    for line in verification_lines(verifications):
        console.print(printable(line))
    return int(any(one.contradicted for one in verifications))


def _recordings(options: argparse.Namespace) -> list[LabelledRecording]:
    if options.labels is not None:
        return read_labels(options.labels)
    return label_paths(options.successes, options.failures, options.instruction)


def _score_all(
    scorer: VideoScorer,
    setup: ScoringSetup,
    recordings: list[LabelledRecording],
    intake: IntakeSettings,
    options: argparse.Namespace,
    console: Console,
) -> list[LabelledEpisode]:
    options.output.mkdir(parents=True, exist_ok=True)
    conditions = asdict(setup) | {
        "topics": options.cameras,
        "fps": options.fps,
        "frozen_check": options.frozen_check,
    }
    del conditions["model"]  # the same weights may be found by another name
    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    live = console.is_terminal
    episodes = []
    with (
        ScoreFile(options.output / "scores.jsonl", conditions) as scores,
        Progress(*columns, console=console, disable=not live, transient=True) as bar,
    ):
        if scores.outdated:
            console.print("Scores of another model or frame setting are there; scoring anew.")
        for number, recording in enumerate(bar.track(recordings), start=1):
            episode = scores.episode(recording)
            if episode is None:
                _check_cameras(recording, setup.cameras, options)
                episode = scores.add(
                    recording, *_score(scorer, recording, intake, options, console)
                )
                if not live:
                    console.print(printable(f"{number} of {len(recordings)} {recording.name}"))
            episodes.append(episode)
    return episodes


def _check_cameras(recording: LabelledRecording, cameras: int, options: argparse.Namespace) -> None:
    topics = options.cameras or list(recording.open(options.fps).topics)
    if len(topics) != cameras:
        raise LabelsError(
            f"{recording.name} has {len(topics)} image topics ({', '.join(topics)}), and the first "
            f"recording {cameras}; name those that all of them have with --cameras."
        )


def _score(
    scorer: VideoScorer,
    recording: LabelledRecording,
    intake: IntakeSettings,
    options: argparse.Namespace,
    console: Console,
) -> tuple[list[float], list[float], list[bool]]:
    from topreward_ros.offline.labels import score_recording

    try:
        readings = list(
            score_recording(
                scorer,
                recording.open(options.fps),
                recording.instruction,
                intake=intake,
                cameras=options.cameras,
                on_doubt=lambda doubt: console.print(printable(f"{recording.name}: {doubt}")),
            )
        )
    except ValueError as error:
        raise LabelsError(f"{recording.name} cannot be scored: {error}") from error
    if not readings:
        raise LabelsError(
            f"{recording.name} gives no reading, so its label counts for nothing; leave it out, or "
            "see whether every camera has pictures within camera_max_age of the others'."
        )
    return (
        [one.log_prob for one in readings],
        [one.episode_time for one in readings],
        [one.seen for one in readings],
    )
