"""A pool of workers on Ray: one model each, an episode at a time, replaced where one ends."""

from __future__ import annotations

import argparse
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from topreward_ros.offline.episodes.recorded_episode import RecordedEpisode, SourceError
from topreward_ros.offline.labelling.cluster import Workers
from topreward_ros.offline.labelling.episode_worker import (
    THREADS,
    EpisodeWorker,
    LoadedModel,
    Outcome,
)

TRIES = 3
"""Workers that may end over one episode, or one after the other while they load the model."""


class Numbered(NamedTuple):
    """An episode and its number in the source."""

    number: int
    episode: RecordedEpisode


class Job(NamedTuple):
    """What a worker is about.

    Attributes:
        worker: Ray's handle of it.
        task: the episode; None: it loads the model.
    """

    worker: Any
    task: Numbered | None


class WorkerPool:
    """Labels episodes in the order in which workers get done.

    Not Ray Data: it starts an episode that ends its worker again and again, without an end.
    """

    def __init__(
        self, workers: Workers, options: argparse.Namespace, say: Callable[[str], None]
    ) -> None:
        """Starts the workers, and waits until the first has its model.

        Args:
            workers: how many, and what each takes.
            options: of the command line.
            say: told of workers that ended.

        Raises:
            SourceError: a worker cannot begin; one sentence.
        """
        import ray

        self._ray, self._say = ray, say
        self._make = self._maker(workers, options)
        self._running: dict[Any, Job] = {}
        self._idle: list[Any] = []
        self._lost_at_start = 0
        self.model: LoadedModel | None = None
        for _ in range(workers.count):
            self._add()
        while self.model is None:
            self._step()

    def label(self, tasks: Sequence[Numbered]) -> Iterator[Outcome]:
        """Labels each of these episodes once.

        Raises:
            SourceError: a worker cannot begin, or has another model; one sentence.
        """
        waiting, ended, left = deque(tasks), Counter[int](), len(tasks)
        while left:
            while waiting and self._idle:
                worker, task = self._idle.pop(), waiting.popleft()
                self._run(worker, task)
            task, outcome = self._step()
            if task is None:
                continue
            if outcome is None:
                ended[task.number] += 1
                if ended[task.number] < TRIES:
                    waiting.appendleft(task)
                    continue
                outcome = Outcome(task.number, None, f"{TRIES} workers ended while they had it.")
            left -= 1
            yield outcome

    def _step(self) -> tuple[Numbered | None, Outcome | None]:
        """Waits for one answer: of which episode, and what; None where its worker ended."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1)
        worker, task = self._running.pop(ready[0])
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(ready[0])
        except (errors.RayActorError, errors.OutOfMemoryError, errors.ObjectLostError) as error:
            self._replace(worker, task, error)
            return task, None
        if isinstance(answer, LoadedModel):
            self._check(answer)
            self._lost_at_start = 0
        self._idle.append(worker)
        return task, answer if isinstance(answer, Outcome) else None

    def _check(self, answer: LoadedModel) -> None:
        if answer.problem:
            raise SourceError(answer.problem)
        if self.model is not None and answer != self.model:
            raise SourceError(
                f"Workers have different models: {self.model.name} ({self.model.fingerprint}) and "
                f"{answer.name} ({answer.fingerprint}); every machine has to have the same."
            )
        self.model = answer

    def _replace(self, worker: Any, task: Numbered | None, error: Exception) -> None:
        self._ray.kill(worker)  # one that only seemed to have ended does not go on
        if task is None:
            self._lost_at_start += 1
            if self._lost_at_start >= TRIES:
                raise SourceError(
                    f"{TRIES} workers ended while they loaded the model, as where memory is short "
                    f"or the package is not installed. The last: {error}"
                ) from error
        at = f"it labelled {task.episode.name}" if task else "it loaded the model"
        self._say(f"A worker ended while {at}; another takes its place.")
        self._add()

    def _add(self) -> None:
        worker = self._make()
        self._running[worker.load.remote()] = Job(worker, None)

    def _run(self, worker: Any, task: Numbered) -> None:
        reference = worker.label.remote(task.number, task.episode.name)
        self._running[reference] = Job(worker, task)

    def _maker(self, workers: Workers, options: argparse.Namespace) -> Callable[[], Any]:
        kind = self._ray.remote(num_cpus=1, num_gpus=workers.gpus, max_restarts=0)(EpisodeWorker)
        return lambda: kind.remote(options, str(Path.cwd()), os.environ.get(THREADS))
