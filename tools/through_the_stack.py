"""Plays labelled episodes through the real nodes over DDS, as a rig's robot would see them.

    python -m tools.through_the_stack DIR --rig franka

DIR holds bags and a `labels.csv`. reward_node and episode_manager run with the rig's parameter
file; each bag is played on the rig's camera topics while the action ~/run_episode asks about it,
and a stand-in for the robot takes the calls that end its episode. The exit code is 1 if an episode
gave no reading, did not end by success or time, or did not stop the robot.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.stack.rig_file import PlayedCamera, pair_cameras, read_rig
from tools.stack.run import Passage, StackBroke, running
from topreward_ros.commands import INTERRUPTED, finish
from topreward_ros.nodes.running.demo import isolate
from topreward_ros.nodes.running.stack import parameter_files
from topreward_ros.offline.labelled_recordings import LabelledRecording, read_labels
from topreward_ros.video.recordings.opening import open_recording

DEMO_SCENE = (
    "The demo model knows nothing but the simulated SO-101 scene. With any other scene, such as "
    "Franka's, these figures show that the stack runs, and no accuracy is claimed."
)
COLUMNS = (
    ("episode", 24),
    ("label", 7),
    ("outcome", 10),
    ("reason", 11),
    ("readings", 8),
    ("frames", 6),
    ("log-prob", 8),
    ("s", 5),
    ("the robot heard", 0),
)
"""Name and width."""


def line(texts: Sequence[str]) -> str:
    """Returns a row of the table."""
    cells = [text.ljust(width) for text, (_, width) in zip(texts, COLUMNS, strict=True)]
    return "  ".join(cells).rstrip()


def row(passage: Passage) -> str:
    """Returns an episode's row."""
    return line(
        (
            passage.recording.path.name,
            "success" if passage.recording.success else "failure",
            passage.outcome,
            passage.reason,
            str(passage.readings),
            str(passage.frames),
            f"{passage.log_prob:.2f}",
            f"{passage.seconds:.1f}",
            ", ".join(passage.calls) or "nothing",
        )
    )


def conclusion(passages: Sequence[Passage], expected: int, model: str) -> str:
    """Returns what is to be said below the table.

    Args:
        passages: what came of the episodes.
        expected: how many there are.
        model: that judged them.
    """
    good = [passage for passage in passages if not passage.problem]
    told = [f"{len(good)} of {expected} episodes went through the whole stack."]
    told += [f"{p.recording.path.name}: {p.problem}" for p in passages if p.problem]
    if model == "demo":
        told.append(DEMO_SCENE)
    return "\n".join(told)


def cameras_of(recording: LabelledRecording, rig_cameras: Sequence[str]) -> list[PlayedCamera]:
    """Says how a recording's cameras reach the reward node of a rig."""
    topics = open_recording(recording.path).topics
    compressed = {name: topic.type.endswith("CompressedImage") for name, topic in topics.items()}
    return pair_cameras(rig_cameras, compressed)


def play_all(options: argparse.Namespace) -> int:
    """Plays the folder's episodes and prints the table.

    Args:
        options: as `parse` returns them.

    Returns:
        The exit code.

    Raises:
        ValueError: the labels, a recording or the rig cannot be read, or the recordings do not
            have the same cameras.
    """
    recordings = read_labels(options.folder)
    files = parameter_files(options.rig, options.params_file)
    rig = read_rig(files)
    cameras = [cameras_of(recording, rig.cameras) for recording in recordings]
    topics = [camera.listened for camera in cameras[0]]
    if any([camera.listened for camera in each] != topics for each in cameras):
        raise ValueError(f"The recordings in {options.folder} do not all have the same cameras.")
    print(f"rig {options.rig}, model {options.model}, cameras {', '.join(topics)}")
    if missing := rig.without(topics):
        print(f"not in the recordings: {', '.join(missing)}")
    passages: list[Passage] = []
    began = time.monotonic()
    broke = ""
    with running(rig, files, topics, options.model, options.logs) as stack:
        try:
            stack.wait_until_loaded()
            print(f"The nodes were up after {time.monotonic() - began:.1f} s.\n", flush=True)
            print(line([name for name, _ in COLUMNS]), flush=True)
            for recording, its in zip(recordings, cameras, strict=True):
                passages.append(stack.play(recording, its, options.rate))
                print(row(passages[-1]), flush=True)
        except StackBroke as error:
            broke = str(error)
    print(f"\n{conclusion(passages, len(recordings), options.model)}")
    print(f"All of it took {time.monotonic() - began:.0f} s.")
    if broke:
        print(f"through_the_stack: {broke}", file=sys.stderr)
    return int(bool(broke) or any(passage.problem for passage in passages))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line; None: this process's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("folder", type=Path, help="bags and their labels.csv")
    add("--rig", required=True, help="a name in config/rigs, or a parameter file")
    add("--params-file", default="", help="parameter file on top of the rig's")
    add("--model", default="demo", help="demo, a hub id or a checkpoint directory (%(default)s)")
    add("--rate", type=float, default=1.0, help="seconds of recording per second (%(default)s)")
    add("--logs", type=Path, default=Path("log/through_the_stack"), help="directory (%(default)s)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line.

    Args:
        arguments: None: this process's.

    Returns:
        The exit code: 1 if something went wrong, 130 after Ctrl-C.
    """
    isolate()
    try:
        return play_all(parse(arguments))
    except (ValueError, OSError) as error:
        print(f"through_the_stack: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("through_the_stack: stopped.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(finish(main))
