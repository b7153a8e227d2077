"""The command `label`: a recording in, one line of progress, reward and success per frame out."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import track

from topreward_ros.commands import INTERRUPTED
from topreward_ros.episode import Episode, Reading, task_settings
from topreward_ros.method.calibration_file import load_calibration
from topreward_ros.method.prompt import PromptForm, validate_instruction
from topreward_ros.method.reward import RewardForm
from topreward_ros.offline.labels import recorded_frames
from topreward_ros.offline.scoring_options import (
    add_detector,
    add_frames,
    add_model,
    detector_settings,
    intake_settings,
    load_model,
    scoring_setup,
)
from topreward_ros.printable import PrintableParser, printable
from topreward_ros.video.opening import open_recording
from topreward_ros.video.recording import Recording
from topreward_ros.video.selection import ClockJump

if TYPE_CHECKING:
    from topreward_ros.video.intake import Frame, IntakeSettings

DESCRIPTION = """\
Scores every selected frame of a recording and writes one line each, as comma-separated values with
the names and units of topreward_msgs/RewardStamped: what reward_node publishes for these pictures
with the same settings, as long as it keeps up with them.

A picture that cannot be decoded is left out, as the node does, and stderr says how many were. Where
the camera's time jumps, the node starts another episode; the labels end there, stderr says so,
and the exit status is 0.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line; None: that of the process. Exits with status 2 where it is wrong."""
    parser = PrintableParser(
        "label", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("recording", type=Path, help="rosbag2 directory, .mcap or .db3 file, or video file")
    add("--instruction", required=True, help="the task in words")
    add("--camera", dest="cameras", nargs="+", help=argparse.SUPPRESS)  # its former name
    add(
        "--reward-form", choices=[form.value for form in RewardForm], default="exp_clip",
        help="(default: %(default)s, the paper's; that of reward_node is difference)",
    )  # fmt: skip
    add("--output", type=Path, help="file to write; default: print")
    live = add_detector(parser)
    live.add_argument(
        "--threshold", type=float, metavar="X",
        help="nat; default: the calibration's, or without one the model's own, where that holds",
    )  # fmt: skip
    live.add_argument(
        "--calibration-file", type=Path, metavar="CALIBRATION", help="written by calibrate"
    )
    add_frames(parser)
    add_model(parser)
    parser.set_defaults(prompt_form=PromptForm.RAW.value)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Labels a recording; returns 0, 1 after a sentence on what was wrong, 130 after Ctrl-C."""
    options = parse_arguments(arguments)
    try:
        readings = label(options, open_recording(options.recording, options.fps))
        if options.output:
            with options.output.open("w", newline="") as file:
                write(readings, file)
        else:
            write(readings, sys.stdout)
    except (ValueError, RuntimeError, OSError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("stopped, nothing is written.")
        return INTERRUPTED
    return 0


def label(options: argparse.Namespace, recording: Recording) -> list[Reading]:
    """Scores a recording with a progress bar.

    Args:
        options: as `parse_arguments` returns them.
        recording: the episode.

    Raises:
        ValueError, RuntimeError: recording, instruction, calibration, settings or model cannot be
            used; one sentence.
    """
    instruction = validate_instruction(options.instruction)
    detector = detector_settings(options, options.threshold)
    file = options.calibration_file
    calibration = load_calibration(file) if file else None
    scorer = load_model(options)
    intake = intake_settings(options, scorer)
    if calibration is not None:
        calibration.check(scoring_setup(scorer, intake, options, recording), detector)
    settings, warning = task_settings(
        scorer, intake, detector, RewardForm(options.reward_form), calibration, instruction
    )
    if warning:
        _say(warning)
    episode = Episode(scorer, instruction, settings)
    frames = _frames(recording, intake, scorer.frame_size, options.cameras)
    if not frames:
        raise ValueError(
            f"{recording.path} gives no frame, so there is nothing to label; expected pictures "
            "that can be decoded, of every camera within camera_max_age of the others'."
        )
    readings = []
    for frame in track(frames, "scoring", console=Console(stderr=True)):
        episode.add_frame(frame.image, frame.stamp, seen=not frame.frozen)
        readings.append(episode.update())
    return readings


def write(readings: Sequence[Reading], file: TextIO) -> None:
    """Writes one line per reading under a line of names."""
    writer = csv.DictWriter(file, [field.name for field in fields(Reading)])
    writer.writeheader()
    writer.writerows(asdict(reading) for reading in readings)


def _frames(
    recording: Recording,
    intake: IntakeSettings,
    frame_size: tuple[int, int],
    cameras: Sequence[str] | None,
) -> list[Frame]:
    """Returns all frames up to a jump of time, and says what was left out."""
    frames: list[Frame] = []
    bad: list[str] = []
    try:
        for frame in recorded_frames(recording, intake, frame_size, cameras, bad.append, _say):
            frames.append(frame)
    except ClockJump as error:
        _say(f"The labels end after frame {len(frames)}: {error}")
    if bad:
        _say(f"Pictures left out, as they cannot be decoded: {len(bad)}. The first: {bad[0]}")
    return frames


def _say(text: str) -> None:
    print(printable(f"label: {text}"), file=sys.stderr)
