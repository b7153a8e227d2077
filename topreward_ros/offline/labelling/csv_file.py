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
    writer.writerow((*(["episode"] if named else []), *COLUMNS))
    for labels in episodes:
        name = [labels.name] if named else []
        for reading in labels.readings:
            writer.writerow([*name, *(getattr(reading, column) for column in COLUMNS)])
