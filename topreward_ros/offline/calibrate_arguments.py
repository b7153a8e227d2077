"""The command line of `calibrate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from topreward_ros.method.conformal import FalseStopBound
from topreward_ros.offline.scoring_options import (
    add_detector,
    add_frames,
    add_model,
    add_number,
)
from topreward_ros.printable import PrintableParser

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

Of a bag with several attempts, the columns start and end (s of the pictures' stamps) name each one.

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
    bound = FalseStopBound()
    parser = PrintableParser(
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
    add_number(promise, "--false-stop-rate", bound.rate, "share of failures called a success")
    add_number(promise, "--confidence", bound.confidence, "of each promise and of intervals")
    promise.add_argument(
        "--pool",
        action="store_true",
        help="one threshold for all instructions; needs fewer episodes, and the promise is for "
        "their mix",
    )
    add_detector(parser)
    add_frames(parser)
    add_model(parser)
    options = parser.parse_args(arguments)
    if options.labels is None and not options.instruction:
        parser.error("give a folder with a labels.csv, or --instruction and recordings")
    if options.labels is not None and (options.successes or options.failures):
        parser.error("give a labels.csv or lists of recordings, not both")
    return options
