"""The command `label`: recorded episodes in, progress, reward and success out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence, Sized
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    track,
)

from topreward_ros.commands import INTERRUPTED
from topreward_ros.method.prompt import PromptForm
from topreward_ros.method.reward import RewardForm
from topreward_ros.method.statements import FORM, StatementError, parse_statements
from topreward_ros.models.served.address import is_chat_api
from topreward_ros.offline.episodes.opening import SingleRecording, open_source
from topreward_ros.offline.labelling.cluster import add_cluster, check_cluster
from topreward_ros.offline.labelling.csv_file import write_csv
from topreward_ros.offline.labelling.labeller import Labeller
from topreward_ros.offline.labelling.recorded_output import write_recorded
from topreward_ros.offline.labelling.whole_set import label_set
from topreward_ros.offline.scoring_options import (
    WHOLE_HELP,
    add_detector,
    add_frames,
    add_model,
)
from topreward_ros.printable import PrintableParser, printable_lines
from topreward_ros.whole_file import written_whole

if TYPE_CHECKING:
    from topreward_ros.offline.episodes.recorded_episode import EpisodeSource, RecordedEpisode
    from topreward_ros.offline.labelling.episode_worker import Outcome

DESCRIPTION = """\
Scores every selected frame of recorded episodes. SOURCE is one recording (a rosbag2 directory, an
.mcap or .db3 file, a video file), or many: a bag with the events of its episodes, a folder of bags,
a LeRobot data set (v2.1 or v3.0), a folder with a labels.csv (its columns start and end cut a bag)
or with RoboReward's metadata.jsonl.

The readings are those that reward_node publishes for these pictures with the same settings, as long
as it keeps up with them: one line each, as comma-separated values with the names and units of
topreward_msgs/RewardStamped. --bag writes copies of bags with the readings in them. For a LeRobot
data set, --progress and --weights write what its trainer takes.

A picture that cannot be decoded is left out, as the node does, and stderr says how many were. Where
the camera's time jumps, the node starts another episode; the labels end there, stderr says so,
and the exit status is 0. Of many episodes one that cannot be read is named and left out, and the
exit status is 1. A run that is stopped, in whatever way, goes on with the same command.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line; None: that of the process. Exits with status 2 where it is wrong."""
    parser = PrintableParser(
        "label", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("source", type=Path, help="recorded episodes; see above")
    add("--instruction", help="the task in words; default: what the source says")
    add("--camera", dest="cameras", nargs="+", help=argparse.SUPPRESS)  # its former name
    add(
        "--reward-form", choices=[form.value for form in RewardForm], default="exp_clip",
        help="(default: %(default)s, the paper's; that of reward_node is difference)",
    )  # fmt: skip
    add(
        "--statements", nargs="+", default=[], metavar="STATEMENT",
        help=f"asked about beside the task, in columns of the CSV: {FORM} (as in reward_node)",
    )  # fmt: skip
    add("--output", type=Path, help="CSV file of readings; default for one recording: print")
    add(
        "--progress", type=Path, metavar="FILE",
        help="parquet file of LeRobot's per-frame progress (its trainer: sample_weighting)",
    )  # fmt: skip
    add(
        "--weights", type=Path, metavar="FILE",
        help="parquet file of weights for behaviour cloning (TOP-AWR), one a frame",
    )  # fmt: skip
    add(
        "--bag", type=Path, metavar="FOLDER",
        help="copy of the bag with the readings in it, each beside its picture; of several bags a "
        "folder of copies",
    )  # fmt: skip
    add(
        "--rrd", type=Path, metavar="FOLDER",
        help="a file for Rerun of each episode: cameras, curves and success (extra rerun)",
    )  # fmt: skip
    add(
        "--reading-topic", default="/topreward/reward_node/reading", metavar="TOPIC",
        help="of the readings in it (default: %(default)s)",
    )  # fmt: skip
    add(
        "--reward-topic", default="/reward", metavar="TOPIC",
        help="of the rewards alone, as std_msgs/Float64 (default: %(default)s)",
    )  # fmt: skip
    add(
        "--split", action="store_true",
        help="with --bag: a folder of copies, each of one episode alone",
    )  # fmt: skip
    add(
        "--recorded", action="store_true",
        help="with --bag, and without a model: take the readings that were recorded live, each "
        "moved beside its picture",
    )  # fmt: skip
    add("--whole", action="store_true", help=WHOLE_HELP)
    add("--overwrite", action="store_true", help="write over files that are there")
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
    add_cluster(parser)
    options = parser.parse_args(arguments)
    if options.prompt_form is None and not is_chat_api(options.model):
        options.prompt_form = PromptForm.RAW.value  # as reward_node has it
    try:
        parse_statements(options.statements)
    except StatementError as error:
        parser.error(str(error))
    if options.statements and options.bag:
        parser.error("--statements fills columns of the CSV, and goes with no --bag")
    if options.split and not options.bag:
        parser.error("--split is how --bag writes; give both, or neither")
    files = (options.output, options.progress, options.weights, options.rrd)
    others = (*files, options.split, options.ray)
    if options.recorded and (not options.bag or any(others)):
        parser.error(
            "--recorded is how --bag writes, and goes with no other output, --split or --ray"
        )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Labels; returns 0, 1 after a sentence on what was wrong, 130 after Ctrl-C."""
    options = parse_arguments(arguments)
    try:
        if options.recorded:
            return write_recorded(options, _say)
        source = open_source(options.source, options.fps, whole=options.whole)
        for note in source.notes:
            _say(note)
        if _is_printed(source, options):
            return _label_one(next(iter(source)), options)
        return label_set(source, options, _say, _shown)
    except (ValueError, RuntimeError, OSError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("stopped, nothing is written; what is labelled of many episodes is kept.")
        return INTERRUPTED


def _is_printed(source: EpisodeSource, options: argparse.Namespace) -> bool:
    """Whether there is one episode and nothing asked for but its lines."""
    if options.bag or options.progress or options.weights or options.rrd:
        return False
    return isinstance(source, SingleRecording) or (len(source) == 1 and not options.output)


def _label_one(episode: RecordedEpisode, options: argparse.Namespace) -> int:
    check_cluster(options)
    if options.ray is not None:
        raise ValueError(
            f"{options.source} is one recording, which one worker labels; --ray is for many."
        )
    recording = episode.open()
    instruction = options.instruction or episode.instruction
    labeller = Labeller(options, _say)
    shown = partial(track, description="scoring", console=Console(stderr=True))
    labels = labeller.label(episode.name, instruction, recording, shown)
    if not options.output:
        write_csv([labels], sys.stdout, named=False)
        return 0
    with written_whole(options.output) as path, path.open("w", newline="") as file:
        write_csv([labels], file, named=False)
    return 0


def _shown(outcomes: Sized) -> Iterable[Outcome]:
    columns = (
        TextColumn("labelling"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    # Ray's prints, which are kept from stdout, are not to come back by the bar.
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as progress:
        yield from progress.track(outcomes, total=len(outcomes))


def _say(text: str) -> None:
    print(printable_lines(f"label: {text}"), file=sys.stderr)
