"""The one thread that touches the model.

It takes frames from a bounded inbox and lays readings into an outbox. When it falls behind, it adds
every waiting frame to the video and scores once: frames are kept, scores are merged (and a success
is held anew, see `Episode.update`). Whoever feeds it never waits, except for `load` and `unload`,
which answer with a future.
"""

from __future__ import annotations

import gc
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from topreward_ros.nodes.reward.scoring_exchange import Failed, QueuedFrame, Scored

if TYPE_CHECKING:
    from topreward_ros.episode import Episode
    from topreward_ros.models.contract import VideoScorer


@dataclass(frozen=True)
class _Start:
    episode_id: str
    make: Callable[[VideoScorer], Episode]


@dataclass(frozen=True)
class _SetInstruction:
    text: str
    baseline: int


@dataclass(frozen=True)
class _Stop:
    pass


@dataclass(frozen=True)
class _Call:
    function: Callable[[], Any]
    answer: Future[Any]


class ScoringThread:
    """Runs one episode at a time on one model."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """Starts the thread.

        Args:
            wake: called from the thread whenever there is a result to collect.
        """
        self._wake = wake
        self._inbox: deque[Any] = deque()
        self._outbox: deque[Scored | Failed] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._scorer: VideoScorer | None = None
        self._episode: Episode | None = None
        self._episode_id = ""
        self._merged = 0
        self._baseline = 0  # of the scores that are made now
        self._baselines = 0  # that this episode was told of after its first
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Frames that wait for scoring."""
        with self._changed:
            return self._count()

    @property
    def merged(self) -> int:
        """Frames of the last score, beside the newest, that got none of their own."""
        return self._merged

    def prepare(self, function: Callable[[], None]) -> None:
        """Runs something on the thread; what it raises is dropped, `load` will meet it again."""
        self._call(function)

    def load(self, loader: Callable[[], VideoScorer]) -> Future[VideoScorer]:
        """Loads a model on the thread. Of the answer, only plain attributes may be read here."""

        def load() -> VideoScorer:
            _free()
            self._scorer = loader()
            return self._scorer

        return self._call(load)

    def unload(self) -> Future[None]:
        """Frees the model and its memory."""

        def unload() -> None:
            self._episode = self._scorer = None
            _free()

        return self._call(unload)

    def start(self, episode_id: str, make: Callable[[VideoScorer], Episode]) -> None:
        """Starts an episode; one that runs is dropped with its waiting frames.

        Args:
            episode_id: carried by the episode's results.
            make: makes the episode, on the thread.
        """
        with self._changed:
            self._forget()
            self._baselines = 0
            self._put(_Start(episode_id, make))

    def stop(self) -> None:
        """Drops the running episode and its waiting frames; a score in the making is not kept."""
        with self._changed:
            self._forget()
            self._put(_Stop())

    def add(self, frame: QueuedFrame, inbox_size: int) -> bool:
        """Queues a frame; False where `inbox_size` frames wait already."""
        with self._changed:
            if self._count() >= inbox_size:
                return False
            self._put(frame)
        return True

    def set_instruction(self, text: str) -> int:
        """Asks about another task from the next frame on.

        Returns:
            The number that results of the new baseline carry; those of the episode's first have 0.
        """
        with self._changed:
            self._baselines += 1
            self._put(_SetInstruction(text, self._baselines))
            return self._baselines

    def collect(self) -> list[Scored | Failed]:
        """Takes the results since the last call, in order."""
        with self._changed:
            results = list(self._outbox)
            self._outbox.clear()
        return results

    def close(self, timeout: float) -> bool:
        """Ends the thread; False where it is still busy after `timeout` seconds."""
        with self._changed:
            self._forget()
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _call(self, function: Callable[[], Any]) -> Future[Any]:
        answer: Future[Any] = Future()
        with self._changed:
            self._put(_Call(function, answer))
        return answer

    def _put(self, task: Any) -> None:
        self._inbox.append(task)
        self._changed.notify()

    def _count(self) -> int:
        return sum(isinstance(task, QueuedFrame) for task in self._inbox)

    def _forget(self) -> None:
        """Takes everything of the running episode out of the inbox, and waits for no server."""
        self._release(True)
        self._inbox = deque(task for task in self._inbox if isinstance(task, _Call))

    def _release(self, now: bool) -> None:
        health = self._scorer.health if self._scorer else None
        if health is not None:
            (health.release.set if now else health.release.clear)()

    def _run(self) -> None:
        while (tasks := self._next()) is not None:
            if isinstance(tasks[0], _Call):
                _answer(tasks[0])
            else:
                failure = self._work(tasks)
                if failure is not None:
                    self._episode = None
                    _free()
                    self._lay_out(failure)

    def _next(self) -> list[Any] | None:
        """Waits; returns one task, or all frames up to the next other task."""
        with self._changed:
            self._changed.wait_for(lambda: self._inbox or self._closing)
            if self._closing:
                return None
            tasks = [self._inbox.popleft()]
            while (
                isinstance(tasks[0], QueuedFrame)
                and self._inbox
                and isinstance(self._inbox[0], QueuedFrame)
            ):
                tasks.append(self._inbox.popleft())
            return tasks

    def _work(self, tasks: list[Any]) -> Failed | None:
        try:
            if isinstance(tasks[0], _Start | _Stop):
                self._release(False)
            if isinstance(tasks[0], _Start):
                self._episode = None
                self._episode_id = tasks[0].episode_id
                self._merged = 0
                self._baseline = 0
                self._episode = tasks[0].make(self._scorer)
            elif isinstance(tasks[0], _Stop):
                self._episode = None
            elif self._episode is None:
                return None
            elif isinstance(tasks[0], _SetInstruction):
                self._episode.set_instruction(tasks[0].text)
                self._baseline = tasks[0].baseline
            else:
                self._score(tasks)
        except Exception as error:
            message = str(error) or repr(error)
            return Failed(self._episode_id, type(error), message, traceback.format_exc())
        return None

    def _score(self, frames: list[QueuedFrame]) -> None:
        for frame in frames:
            self._episode.add_frame(frame.image, frame.stamp, seen=frame.seen)
        reading = self._episode.update()
        self._merged = len(frames) - 1
        if reading is not None:
            self._lay_out(Scored(self._episode_id, self._baseline, reading, frames[-1]))
        self._episode.settle()

    def _lay_out(self, result: Scored | Failed) -> None:
        with self._changed:
            self._outbox.append(result)
        self._wake()


def _answer(call: _Call) -> None:
    try:
        result = call.function()
    except Exception as error:
        call.answer.set_exception(error)
    else:
        call.answer.set_result(result)


def _free() -> None:
    """Gives memory back, a GPU's too."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
