"""The command line of `calibrate`. Defaults are those of reward_node's parameters."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from topreward_ros.method.conformal import FalseStopBound
from topreward_ros.method.prompt import PromptForm
from topreward_ros.method.success import SuccessSettings
from topreward_ros.video.intake import IntakeSettings

DESCRIPTION = """\
Chooses the success threshold of a task from labelled recordings, so that at most a stated share of
failures is called a success, with a stated confidence. Writes calibration.yaml (reward_node's
parameter calibration_file), calibration.json and calibration.png.
"""
EXAMPLES = """\
Recordings are rosbag2 bags or video files, each of its own attempt. labels.csv has the columns
path, instruction, success:

  path,instruction,success
  bags/episode_000,put the red cube on the green disc,1
  bags/episode_001,put the red cube on the green disc,0

examples:
  ros2 run topreward_ros calibrate recordings/ --model Qwen/Qwen3-VL-8B-Instruct
  ros2 run topreward_ros calibrate recordings/ --model demo --pool --false-stop-rate 0.1
  ros2 run topreward_ros calibrate others/ --model demo --verify calibration/calibration.yaml
  ros2 run topreward_ros calibrate --instruction "fold the towel" \\
      --successes bags/good_* --failures bags/bad_*

The promise holds for failures like the ones given, so record them as the robot will run. The least
number of failures is ln(1 - confidence) / ln(1 - rate): 59 for 5 % at 95 %, 22 for 10 % at 90 %.
Fix their number before you see a threshold; to calibrate a second time, record fresh ones. The
confidence is that of each instruction by itself, not of all of them together.
Ctrl-C keeps the scores of finished episodes; the same command goes on from there.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line; None: that of the process. Exits with status 2 where it is wrong."""
    bound, detector, intake = FalseStopBound(), SuccessSettings(), IntakeSettings()
    parser = argparse.ArgumentParser(
        "calibrate",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "labels", nargs="?", type=Path, help="folder with a labels.csv, or such a file"
    )
    listed = parser.add_argument_group("recordings without a labels.csv, all of one task")
    listed.add_argument("--instruction", default="", help="the task in words")
    listed.add_argument("--successes", nargs="+", type=Path, default=[], metavar="RECORDING")
    listed.add_argument("--failures", nargs="+", type=Path, default=[], metavar="RECORDING")
    parser.add_argument(
        "--output", type=Path, default=Path("calibration"), help="folder (default: %(default)s)"
    )

    parser.add_argument(
        "--verify", type=Path, metavar="CALIBRATION",
        help="calibrate nothing; hold this calibration.yaml against the recordings, which must be "
        "others than those it was made from (window, hold and minimum duration are its own)",
    )  # fmt: skip

    promise = parser.add_argument_group("the promise")
    _number(promise, "--false-stop-rate", bound.rate, "share of failures called a success")
    _number(promise, "--confidence", bound.confidence, "of each promise and of intervals")
    promise.add_argument(
        "--pool",
        action="store_true",
        help="one threshold for all instructions; needs fewer episodes, and the promise is for "
        "their mix",
    )
    live = parser.add_argument_group("the detector, as reward_node will run it")
    live.add_argument(
        "--window", type=int, default=detector.window, metavar="N",
        help="log-probs in the success score (default: %(default)s)",
    )  # fmt: skip
    _number(live, "--hold", detector.hold, "s that the score must stay above the threshold")
    _number(live, "--min-duration", detector.min_duration, "s before which no success counts")
    _add_frames(parser, intake)
    _add_model(parser)
    options = parser.parse_args(arguments)
    if options.labels is None and not options.instruction:
        parser.error("give a folder with a labels.csv, or --instruction and recordings")
    if options.labels is not None and (options.successes or options.failures):
        parser.error("give a labels.csv or lists of recordings, not both")
    return options


def _add_frames(parser: argparse.ArgumentParser, defaults: IntakeSettings) -> None:
    frames = parser.add_argument_group("frames, as reward_node will take them")
    frames.add_argument(
        "--cameras", nargs="+", metavar="TOPIC", help="image topics in layout order (default: all)"
    )
    frames.add_argument("--layout", default=defaults.layout.value, help="(default: %(default)s)")
    _number(frames, "--camera-max-age", defaults.camera_max_age, "s between pictures of a frame")
    _number(frames, "--sample-rate", 0.0, "frames per second; 0: the model's own")
    frames.add_argument(
        "--motion-threshold", type=float, metavar="X", help="grey levels (default: no motion gate)"
    )
    frames.add_argument(
        "--fps", type=float, metavar="X", help="of video files, instead of what they say"
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    model = parser.add_argument_group("the model, as reward_node will load it")
    model.add_argument(
        "--model", default="Qwen/Qwen3-VL-8B-Instruct",
        help="demo, a hub id or a directory (default: %(default)s)",
    )  # fmt: skip
    model.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    model.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    model.add_argument("--quantization", default="none", help="none, int8 or nf4")
    model.add_argument("--prompt-form", choices=[form.value for form in PromptForm])
    model.add_argument("--frame-size", nargs=2, type=int, metavar=("HEIGHT", "WIDTH"))
    model.add_argument("--max-pairs", type=int, default=256, metavar="N")
    model.add_argument("--attention", default="sdpa", help="sdpa or eager")


def _number(group: argparse._ArgumentGroup, name: str, default: float, text: str) -> None:
    group.add_argument(
        name, type=float, default=default, metavar="X", help=f"{text} (default: %(default)s)"
    )
