"""Where the labelled copies of bags go: whole, under their names, and never over an original."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from topreward_ros.offline.episodes.bag_folder import bags_in
from topreward_ros.offline.episodes.recorded_episode import (
    EpisodeSource,
    RecordedEpisode,
    SourceError,
)
from topreward_ros.offline.labelling.labelled_bag import (
    MARK,
    BagLabels,
    BagTopics,
    check_topics,
    write_labelled_bag,
)
from topreward_ros.video.recordings.bag_files import METADATA
from topreward_ros.video.recordings.bag_messages import read_index
from topreward_ros.video.recordings.recording import RecordingError
from topreward_ros.whole_file import flush

if TYPE_CHECKING:
    import argparse

    from topreward_ros.offline.labelling.episode_labels import EpisodeLabels


def bag_topics(options: argparse.Namespace, model: str) -> BagTopics:
    """Returns what is added to each bag."""
    cameras = tuple(options.cameras) if options.cameras else None
    return BagTopics(options.reading_topic, options.reward_topic, cameras, model)


def check_bags(source: EpisodeSource, options: argparse.Namespace) -> None:
    """Refuses, before anything is scored, what could not be written.

    Raises:
        SourceError: an episode is in no bag, a bag has the topics already, or the output would lie
            over, in or around a bag.
    """
    topics = bag_topics(options, options.model)
    bags = set()
    for episode in source:
        if episode.place is None:
            raise SourceError(
                f"{episode.name} of {source.path} is in no bag, and --bag writes readings into "
                "copies of bags; give --output for a CSV file."
            )
        bags.add(episode.place.path)
    check_output(bags, topics, options)
    for bag in sorted(bags):
        check_topics(bag, topics)


def check_output(bags: Iterable[Path], topics: BagTopics, options: argparse.Namespace) -> None:
    """Refuses names of topics that are none, and a place where something else would be lost.

    Raises:
        SourceError: one of the two.
    """
    if topics.reading == topics.reward:
        raise SourceError(f"--reading-topic and --reward-topic are both {topics.reward}.")
    for name in (topics.reading, topics.reward):
        if not name.startswith("/") or name.endswith("/"):
            raise SourceError(f"{name!r} is no topic of a bag; expected one such as /reward.")
    output = options.bag.resolve()
    for bag in sorted(bags):
        place = bag.resolve()
        if output == place or output in place.parents or place in output.parents:
            raise SourceError(
                f"--bag {options.bag} lies over, in or around {bag}, and originals are left as "
                "they are; name another folder."
            )
    if output.exists() and options.overwrite and not _is_copy(output):
        raise SourceError(
            f"{options.bag} is no labelled copy, or holds something else, and --overwrite takes "
            "the place of such copies alone; name another folder, or remove that one."
        )


def write_bags(
    source: EpisodeSource,
    done: Sequence[tuple[RecordedEpisode, EpisodeLabels]],
    options: argparse.Namespace,
    model: str,
    partial: Path,
) -> int:
    """Writes the labelled copies; a bag becomes a bag, and many become a folder of bags.

    Args:
        source: of the episodes.
        done: those that are labelled.
        options: of the command line.
        model: as its scorer is called.
        partial: folder beside the output for what is not whole yet; copies that are there already
            are taken as they are.

    Returns:
        Number of bags.

    Raises:
        RecordingError, OSError: see `write_labelled_bag`.
    """
    topics = bag_topics(options, model)
    jobs: list[tuple[Path, list[BagLabels]]] = []
    for episode, labels in done:
        one = BagLabels(labels, episode.place.part, episode.episode_id or episode.name)
        same = [found for bag, found in jobs if bag == episode.place.path]
        if same and not options.split:
            same[0].append(one)
        else:
            jobs.append((episode.place.path, [one]))
    alone = not options.split and [bag for bag, _ in jobs] == [source.path]
    own = [labels[0].labels.name if options.split else _own_name(bag) for bag, labels in jobs]
    names = [options.bag.absolute().name] if alone else file_names(own)
    written, unfinished = partial / "bags", partial / "writing"
    written.mkdir(exist_ok=True)
    for (bag, labels), name in zip(jobs, names, strict=True):
        if not (written / name).exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            write_labelled_bag(bag, labels, unfinished / name, topics, options.split)
            finish_copy(unfinished / name, written / name)
    take_place(written / names[0] if alone else written, options.bag, partial / "replaced")
    return len(jobs)


def finish_copy(unfinished: Path, written: Path) -> None:
    """Gives a whole copy its name, once it is on disk."""
    for file in unfinished.iterdir():
        flush(file)
    unfinished.rename(written)


def _is_copy(path: Path) -> bool:
    """Says whether all that is there was written by this."""
    alone = (path / METADATA).exists()
    bags = [path] if alone else bags_in(path) if path.is_dir() else []
    if not bags or (not alone and len(bags) != sum(1 for _ in path.iterdir())):
        return False
    try:
        return all(MARK in read_index(bag).custom for bag in bags)
    except RecordingError:
        return False


def _own_name(bag: Path) -> str:
    return bag.name if bag.is_dir() else bag.stem


def file_names(wanted: Sequence[str]) -> list[str]:
    """Returns a file's or folder's name for each, the wanted one where no former one has it."""
    names: list[str] = []
    for text in wanted:
        own = re.sub(r"[^\w.#-]", "_", text).lstrip(".") or "episode"
        name, number = own, 1
        while name in names:
            number += 1
            name = f"{own}_{number}"
        names.append(name)
    return names


def take_place(new: Path, target: Path, replaced: Path) -> None:
    """Moves what is whole to where it was asked for; `replaced` is for what was there."""
    if target.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        target.replace(replaced)
    new.replace(target)
