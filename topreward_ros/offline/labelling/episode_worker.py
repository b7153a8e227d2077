"""What one worker of a cluster does: it loads the model once, and labels episode after episode."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from topreward_ros.offline.episodes.opening import open_source
from topreward_ros.offline.labelling.episode_labels import EpisodeLabels
from topreward_ros.offline.labelling.labeller import Labeller

if TYPE_CHECKING:
    from topreward_ros.models.contract import VideoScorer
    from topreward_ros.offline.episodes.recorded_episode import RecordedEpisode

THREADS = "OMP_NUM_THREADS"
"""Tells torch how many threads to compute with; sums of other threads differ in their last bits."""


def identity(scorer: VideoScorer) -> str:
    """Returns what tells a model apart from another one: its weights, and what runs them."""
    return f"{scorer.fingerprint} ({scorer.backend.name})"


@dataclass(frozen=True)
class LoadedModel:
    """Which model a worker has.

    Attributes:
        name: of the model.
        fingerprint: of its weights.
        problem: why there is none, one sentence; empty where there is.
    """

    name: str = ""
    fingerprint: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of an episode.

    Attributes:
        number: of the episode in its source.
        labels: None where it could not be labelled.
        problem: why it could not, one sentence.
        said: sentences that people should know, not yet shown to them.
    """

    number: int
    labels: EpisodeLabels | None
    problem: str = ""
    said: tuple[str, ...] = ()


def outcome_of(
    labeller: Labeller, number: int, episode: RecordedEpisode, instruction: str | None
) -> Outcome:
    """Labels an episode.

    Args:
        labeller: with the model.
        number: of the episode in its source.
        episode: the pictures.
        instruction: for all episodes; None: what the source says.
    """
    try:
        task = instruction or episode.instruction
        return Outcome(number, labeller.label(episode.name, task, episode.open()))
    except (ValueError, RuntimeError) as error:
        return Outcome(number, None, str(error))


class EpisodeWorker:
    """Lives in a process of its own, perhaps on another machine; its answers can be pickled."""

    def __init__(self, options: argparse.Namespace, folder: str, threads: str | None) -> None:
        """Does nothing yet, so that what is wrong can be answered in a sentence.

        Args:
            options: of the command line.
            folder: that relative paths are meant from.
            threads: what `THREADS` says where the command runs; None: nothing.
        """
        self._options, self._folder, self._threads = options, folder, threads
        self._said: list[str] = []

    def load(self) -> LoadedModel:
        """Loads the model and opens the source."""
        options = self._options
        os.environ.pop(THREADS, None)  # Ray's, which says 1
        if self._threads is not None:
            os.environ[THREADS] = self._threads
        try:
            os.chdir(self._folder)
            self._episodes = list(open_source(options.source, options.fps, whole=options.whole))
            self._labeller = Labeller(options, self._said.append)
        except (ValueError, RuntimeError, OSError, ImportError) as error:
            return LoadedModel(problem=f"A worker on {os.uname().nodename} cannot begin: {error}")
        scorer = self._labeller.scorer
        return LoadedModel(scorer.name, identity(scorer))

    def label(self, number: int, name: str) -> Outcome:
        """Labels an episode of the source.

        Args:
            number: of the episode.
            name: that it has where the command runs; another one here is another source.
        """
        here = [one.name for one in self._episodes[number : number + 1]]
        if here != [name]:
            source = Path(self._folder) / self._options.source
            return Outcome(
                number,
                None,
                f"{source} is another one on {os.uname().nodename}, where episode {number} is "
                f"{here[0] if here else 'not there'}; every machine has to see the same files.",
            )
        self._said.clear()
        outcome = outcome_of(
            self._labeller, number, self._episodes[number], self._options.instruction
        )
        return Outcome(number, outcome.labels, outcome.problem, tuple(self._said))
