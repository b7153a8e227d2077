"""What is labelled already, on disk, so that a run that was killed goes on where it was.

A directory beside the output: the settings, and one file for each episode that is done, each of
which appears whole. When the outputs are written it is removed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from topreward_ros.offline.episodes.recorded_episode import SourceError
from topreward_ros.offline.labelling.episode_labels import EpisodeLabels
from topreward_ros.whole_file import written_whole

SETTINGS_FILE = "settings.json"


class Journal:
    """The labels that are done. One run at a time; use it as `with opened_journal(...)`."""

    def __init__(self, directory: Path) -> None:
        """Takes a directory that is there."""
        self.directory = directory

    def get(self, number: int, name: str) -> EpisodeLabels | None:
        """Returns an episode's labels, None where they are not there or not whole.

        Args:
            number: of the episode in its source.
            name: of the episode.
        """
        try:
            told = json.loads(self._file(number).read_text())
            labels = EpisodeLabels.from_json(told)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return labels if labels.name == name else None

    def put(self, number: int, labels: EpisodeLabels) -> None:
        """Keeps an episode's labels."""
        with written_whole(self._file(number)) as path:
            path.write_text(json.dumps(labels.as_json()))

    def __len__(self) -> int:
        """Number of episodes that are done."""
        return sum(1 for _ in self.directory.glob("*.episode.json"))

    def _file(self, number: int) -> Path:
        return self.directory / f"{number:06d}.episode.json"


@contextmanager
def opened_journal(directory: Path, settings: Mapping[str, Any]) -> Iterator[Journal]:
    """Opens a journal, or begins one; it stays where the block fails.

    Args:
        directory: its place.
        settings: all that decides the labels, as JSON has it.

    Raises:
        SourceError: another run works on it, or it was begun with other settings.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SourceError(
                f"Another run is writing this output (it holds {directory}); wait for it, or name "
                "another output."
            ) from None
        _same_settings(directory, json.loads(json.dumps(settings)))
        yield Journal(directory)
        shutil.rmtree(directory)
    finally:
        os.close(descriptor)


def _same_settings(directory: Path, settings: dict[str, Any]) -> None:
    file = directory / SETTINGS_FILE
    if not file.exists():
        with written_whole(file) as path:
            path.write_text(json.dumps(settings, indent=1))
        return
    try:
        former = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise SourceError(f"{file} cannot be read ({error}); remove {directory}.") from error
    names = sorted({*former, *settings})
    other = [name for name in names if former.get(name) != settings.get(name)]
    if other:
        name = other[0]
        raise SourceError(
            f"{directory} was begun with other settings: {name} was {former.get(name)!r} and is "
            f"{settings.get(name)!r} now; go on with the former, or remove that directory."
        )
