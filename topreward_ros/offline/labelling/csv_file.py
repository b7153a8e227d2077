"""Readings as comma-separated values, one line each, under the names of `RewardStamped`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import TextIO

from topreward_ros.offline.labelling.episode_labels import COLUMNS, EpisodeLabels


def write_csv(episodes: Iterable[EpisodeLabels], file: TextIO, *, named: bool) -> None:
    """Writes the readings of all episodes.

    Args:
        episodes: in the order of the source.
        file: opened with `newline=""`.
        named: whether a first column names the episode.
    """
    writer = csv.writer(file)
    first = ["episode"] if named else []
    beside: list[str] | None = None
    for labels in episodes:
        if beside is None:  # the same for all: they are labelled with the same options
            beside = list(labels.beside)
            writer.writerow([*first, *COLUMNS, *beside])
        name = [labels.name] if named else []
        for index, reading in enumerate(labels.readings):
            own = [getattr(reading, column) for column in COLUMNS]
            writer.writerow([*name, *own, *(labels.beside[column][index] for column in beside)])
    if beside is None:
        writer.writerow([*first, *COLUMNS])
