"""Labels all episodes of a source: goes on where it was stopped, and writes when all are there."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from topreward_ros.offline.episodes.opening import SingleRecording
from topreward_ros.offline.episodes.recorded_episode import (
    EpisodeSource,
    RecordedEpisode,
    SourceError,
)
from topreward_ros.offline.labelling.bag_output import check_bags, write_bags
from topreward_ros.offline.labelling.cluster import check_cluster, ray_running
from topreward_ros.offline.labelling.csv_file import write_csv
from topreward_ros.offline.labelling.episode_labels import EpisodeLabels
from topreward_ros.offline.labelling.episode_worker import Outcome, identity, outcome_of
from topreward_ros.offline.labelling.journal import Journal, opened_journal
from topreward_ros.offline.labelling.labeller import Labeller
from topreward_ros.offline.labelling.progress_file import (
    LabelledRows,
    trainer_line,
    write_progress,
)
from topreward_ros.offline.labelling.rerun_files import write_rerun_files
from topreward_ros.offline.labelling.weights_file import write_weights
from topreward_ros.offline.labelling.worker_pool import Numbered, WorkerPool
from topreward_ros.offline.rerun_drawing import load_rerun
from topreward_ros.whole_file import written_whole

_WHERE = ("device", "ray", "workers", "gpus_per_worker")
LEFT_OUT = ("bag", "output", "progress", "weights", "rrd", "overwrite", *_WHERE)
"""Options that decide no label."""
Say = Callable[[str], None]


def check_outputs(source: EpisodeSource, options: argparse.Namespace) -> list[Path]:
    """Returns the files that are asked for.

    Raises:
        SourceError: there is none, one is there already, or the source has no frames to number.
    """
    asked = (options.bag, options.output, options.progress, options.weights, options.rrd)
    files = [path for path in asked if path]
    if not files:
        raise SourceError(
            f"{source.path} is a {source.kind} of {len(source)} episodes; say what to write: "
            "--output for a CSV file, --bag for copies of bags with the readings in them, "
            "--progress or --weights for LeRobot's trainer, --rrd for files to watch in Rerun."
        )
    begun = _partial(files).exists()  # what is there may be what an earlier run of it has written
    for path in files:
        if path.exists() and not options.overwrite and not begun:
            raise SourceError(f"{path} is there already; name another file, or give --overwrite.")
        if not path.parent.is_dir():
            raise SourceError(f"There is no folder {path.parent} for {path.name}; make it first.")
    if options.bag:
        check_bags(source, options)
    if options.rrd:
        load_rerun()  # hours of labelling are not to end with what is missing
    rows = next(iter(source)).rows
    if (options.progress or options.weights) and rows is None:
        raise SourceError(
            f"{source.path} is a {source.kind}, and --progress and --weights number the frames of "
            "a LeRobot data set; give --output for a CSV file."
        )
    return files


def label_set(
    source: EpisodeSource,
    options: argparse.Namespace,
    say: Say,
    track: Callable[[Sized], Iterable[Outcome]] = iter,
) -> int:
    """Labels a source and writes what is asked for.

    Args:
        source: the episodes.
        options: of the command line.
        say: told everything that people should know, a sentence each.
        track: goes through what comes of the episodes, and may show how far it is.

    Returns:
        0; 1 where an episode could not be labelled, which was said.

    Raises:
        ValueError, RuntimeError, OSError: nothing can be labelled, or written; one sentence.
    """
    check_cluster(options)
    files = check_outputs(source, options)
    with _model(options, say) as model:
        settings = _settings(source, options, model.fingerprint)
        with opened_journal(_partial(files), settings) as journal:
            if len(journal):
                say(f"{len(journal)} of {len(source)} episodes are labelled already; going on.")
            done, failed = _label_all(list(source), model, journal, say, track)
            if not done:
                raise SourceError(f"None of {len(source)} episodes could be labelled.")
            if options.bag and (options.overwrite or not options.bag.exists()):
                count = write_bags(source, done, options, model.name, journal.directory)
                say(f"Readings in {count} bag(s): {options.bag}")
            named = not isinstance(source, SingleRecording)
            _write(done, options, model.name, say, named=named)
    if failed:
        say(f"{failed} of {len(source)} episodes are left out; the others are written.")
    return 1 if failed else 0


def _partial(files: Sequence[Path]) -> Path:
    """Where the labels are kept until all outputs are written: beside the first of them."""
    first = files[0].absolute()  # "." has no name
    return first.with_name(f"{first.name}.partial")


@dataclass(frozen=True)
class Model:
    """What labels, here or elsewhere.

    Attributes:
        name: of the model.
        fingerprint: of its weights.
        label: labels episodes, in whatever order.
    """

    name: str
    fingerprint: str
    label: Callable[[Sequence[Numbered]], Iterator[Outcome]]


@contextmanager
def _model(options: argparse.Namespace, say: Say) -> Iterator[Model]:
    if options.ray is not None:
        with ray_running(options, say) as workers:
            pool = WorkerPool(workers, options, say)
            yield Model(pool.model.name, pool.model.fingerprint, pool.label)
        return
    labeller = Labeller(options, say)
    scorer = labeller.scorer
    yield Model(
        scorer.name,
        identity(scorer),
        lambda tasks: (outcome_of(labeller, *task, options.instruction) for task in tasks),
    )


def _settings(
    source: EpisodeSource, options: argparse.Namespace, fingerprint: str
) -> dict[str, Any]:
    given = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(options).items()
        if name not in LEFT_OUT
    }
    calibration = options.calibration_file
    return {
        **given,
        "episodes": len(source),
        "fingerprint": fingerprint,
        "calibration": calibration.read_text() if calibration else "",
    }


class _Outcomes:
    """What is labelled already, and then what is labelled now; its length is known before."""

    def __init__(self, episodes: Sequence[RecordedEpisode], model: Model, journal: Journal) -> None:
        self._episodes, self._model, self._journal = episodes, model, journal

    def __len__(self) -> int:
        return len(self._episodes)

    def __iter__(self) -> Iterator[Outcome]:
        pending = []
        for number, episode in enumerate(self._episodes):
            labels = self._journal.get(number, episode.name)
            if labels is None:
                pending.append(Numbered(number, episode))
            else:
                yield Outcome(number, labels)
        for outcome in self._model.label(pending):
            if outcome.labels is not None:
                self._journal.put(outcome.number, outcome.labels)
            yield outcome


def _label_all(
    episodes: Sequence[RecordedEpisode],
    model: Model,
    journal: Journal,
    say: Say,
    track: Callable[[Sized], Iterable[Outcome]],
) -> tuple[list[tuple[RecordedEpisode, EpisodeLabels]], int]:
    done: dict[int, EpisodeLabels] = {}
    for outcome in track(_Outcomes(episodes, model, journal)):
        for sentence in outcome.said:
            say(sentence)
        if outcome.labels is None:
            say(f"{episodes[outcome.number].name} is left out: {outcome.problem}")
        else:
            done[outcome.number] = outcome.labels
    ordered = [(episodes[number], done[number]) for number in sorted(done)]
    return ordered, len(episodes) - len(done)


def _write(
    done: Sequence[tuple[RecordedEpisode, EpisodeLabels]],
    options: argparse.Namespace,
    model: str,
    say: Say,
    *,
    named: bool,
) -> None:
    flat = [labels.name for _, labels in done if labels.progress().degenerate]
    if flat:
        say(
            f"The curve of {len(flat)} episode(s) is constant, so that it says nothing; its "
            f"progress is 0: {', '.join(flat[:5])}{' …' if len(flat) > 5 else ''}"
        )
    if options.output:
        with written_whole(options.output) as path, path.open("w", newline="") as file:
            write_csv([labels for _, labels in done], file, named=named)
        say(f"Readings: {options.output}")
    if options.rrd:
        write_rerun_files(done, options.rrd, options.cameras, overwrite=options.overwrite, say=say)
        say(f"Episodes for Rerun: {options.rrd} (open one with: rerun {options.rrd}/NAME.rrd)")
    rows = []
    if options.progress or options.weights:
        rows = [LabelledRows(labels, episode.rows()) for episode, labels in done]
    if options.progress:
        write_progress(rows, options.progress, model=model)
        say(f"Progress of every frame: {options.progress}\n{trainer_line(options.progress)}")
    if options.weights:
        write_weights(rows, options.weights, model=model)
        say(f"Weights of every frame: {options.weights}")
