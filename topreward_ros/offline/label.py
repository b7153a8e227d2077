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

from topreward_ros.episode import Episode, EpisodeSettings, Reading
from topreward_ros.method.own_threshold import OwnThreshold
from topreward_ros.method.prompt import InstructionError, PromptForm
from topreward_ros.method.reward import RewardForm
from topreward_ros.method.success import SuccessError, SuccessSettings
from topreward_ros.video.recording import Recording, RecordingError, open_recording

if TYPE_CHECKING:
    from topreward_ros.models.contract import VideoScorer

DESCRIPTION = """\
Scores every selected frame of a recording and writes one line each, as comma-separated values with
the names and units of topreward_msgs/RewardStamped: what the live node would have published.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line; None: that of the process. Exits with status 2 where it is wrong."""
    parser = argparse.ArgumentParser("label", description=DESCRIPTION)
    add = parser.add_argument
    add("recording", type=Path, help="rosbag2 directory, .mcap or .db3 file, or video file")
    add("--instruction", required=True, help="the task in words")
    add("--model", default="Qwen/Qwen3-VL-8B-Instruct", help="hub id, directory or demo")
    add("--camera", nargs="+", metavar="TOPIC", help="image topics; default: all of the recording")
    add("--fps", type=float, help="pictures per second of a video; default: its own")
    add("--sample-rate", type=float, default=0.0, help="frames per second; 0: the model's own")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:<number> (%(default)s)")
    add("--quantization", default="none", help="none, int8 or nf4 (%(default)s)")
    add("--prompt-form", choices=[form.value for form in PromptForm], default="raw")
    add("--reward-form", choices=[form.value for form in RewardForm], default="exp_clip")
    add("--threshold", type=float, help="nat; default: the model's own, at its own rate")
    add("--output", type=Path, help="file to write; default: print")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Labels a recording; returns 0, or 1 after one sentence on what was wrong."""
    options = parse_arguments(arguments)
    try:
        readings = label(options, open_recording(options.recording, options.fps))
        if options.output:
            with options.output.open("w", newline="") as file:
                write(readings, file)
        else:
            write(readings, sys.stdout)
    except (RecordingError, InstructionError, SuccessError, ValueError, RuntimeError, OSError) as e:
        print(f"label: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("label: stopped, nothing is written.", file=sys.stderr)
        return 130
    return 0


def label(options: argparse.Namespace, recording: Recording) -> list[Reading]:
    """Scores a recording with a progress bar.

    Args:
        options: as `parse_arguments` returns them.
        recording: the episode.

    Raises:
        ValueError, RuntimeError: recording, instruction or model cannot be used; one sentence.
    """
    # Not before the arguments are known to be right: importing torch takes seconds.
    from topreward_ros.models.loading import load_scorer
    from topreward_ros.offline.labels import recorded_frames
    from topreward_ros.video.intake import IntakeSettings

    scorer = load_scorer(
        options.model,
        device=options.device,
        quantization=options.quantization,
        prompt=options.prompt_form,
    )
    intake = IntakeSettings(sample_rate=options.sample_rate or scorer.sample_rate)
    settings = EpisodeSettings(
        success=_detector(options.threshold, scorer, intake.sample_rate),
        reward_form=RewardForm(options.reward_form),
    )
    episode = Episode(scorer, options.instruction, settings)
    frames = list(recorded_frames(recording, intake, scorer.frame_size, options.camera))
    readings = []
    for frame in track(frames, "scoring", console=Console(stderr=True)):
        episode.add_frame(frame.image, frame.stamp)
        readings.append(episode.update())
    return readings


def _detector(threshold: float | None, scorer: VideoScorer, sample_rate: float) -> SuccessSettings:
    if threshold is None:
        own = OwnThreshold(scorer.success_threshold, scorer.sample_rate)
        threshold, warning = own.here(sample_rate, SuccessSettings.window)
        if warning:
            print(f"label: {warning}", file=sys.stderr)
    return SuccessSettings(threshold=threshold)


def write(readings: Sequence[Reading], file: TextIO) -> None:
    """Writes one line per reading under a line of names."""
    writer = csv.DictWriter(file, [field.name for field in fields(Reading)])
    writer.writeheader()
    writer.writerows(asdict(reading) for reading in readings)


if __name__ == "__main__":
    sys.exit(main())
