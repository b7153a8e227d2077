"""Recorded training episodes on disk: numpy archives of some episodes each."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def save(path: Path, episodes: list[dict[str, np.ndarray]]) -> None:
    """Writes one archive, whole or not at all.

    Args:
        path: its name must be digits and `.npz`.
        episodes: from `record_dataset.record`.
    """
    content = {
        f"{index}/{name}": value
        for index, episode in enumerate(episodes)
        for name, value in episode.items()
    }
    partial = path.with_suffix(".part.npz")
    np.savez(partial, **content)
    partial.rename(path)


def load(folder: Path) -> list[dict[str, np.ndarray]]:
    """All episodes of a folder, in the order of their seeds."""
    episodes: list[dict[str, np.ndarray]] = []
    for path in sorted(folder.glob("[0-9]*[0-9].npz")):
        with np.load(path) as archive:
            found: dict[int, dict[str, np.ndarray]] = {}
            for key in archive.files:
                index, name = key.split("/")
                found.setdefault(int(index), {})[name] = archive[key]
        episodes += [found[index] for index in sorted(found)]
    return episodes
