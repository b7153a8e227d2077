"""What the readings of an episode say of its statements, and which stage of the task is running."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from topreward_ros.method.progress import CalibratedProgress, RunningProgress
from topreward_ros.method.statements import Role, Statement
from topreward_ros.method.success import SuccessDetector, SuccessSettings


@dataclass(frozen=True)
class AskedStatement:
    """A statement with what its log-probabilities are held against.

    Attributes:
        statement: as it was given.
        success: when it counts as held; by the rules of the task's success.
        progress: floor and ceiling from a calibration; None: what the episode has shown so far.
        ends: whether its hold ends the episode: a failure's, by a calibrated threshold or a
            stricter one.
    """

    statement: Statement
    success: SuccessSettings
    progress: CalibratedProgress | None = None
    ends: bool = False


@dataclass(frozen=True)
class StatementState:
    """What is known of a statement after a reading.

    Attributes:
        statement: as it was given.
        log_prob: nat; NaN when the model gave no number.
        progress: 0..1.
        progress_source: `calibrated` or `running`.
        score: nat, mean of the last log-probs; NaN before the window is full.
        threshold: nat; None: it never counts as held.
        held: latched: the score stayed above the threshold for the hold.
        ends: whether that ends the episode.
    """

    statement: Statement
    log_prob: float
    progress: float
    progress_source: str
    score: float
    threshold: float | None
    held: bool
    ends: bool = False


@dataclass(frozen=True)
class StatementStates:
    """All statements after a reading.

    Attributes:
        each: in the order given.
    """

    each: tuple[StatementState, ...] = ()

    @property
    def stages(self) -> tuple[StatementState, ...]:
        """Those of role `stage`, in order."""
        return tuple(one for one in self.each if one.statement.role is Role.STAGE)

    @property
    def running(self) -> StatementState | None:
        """The first stage that has not held; None where there is none."""
        return next((one for one in self.stages if not one.held), None)

    @property
    def stage(self) -> str:
        """Name of the running stage, or ""."""
        running = self.running
        return running.statement.name if running else ""

    @property
    def stage_progress(self) -> float:
        """0..1, of the running stage; NaN where none runs."""
        running = self.running
        return running.progress if running else math.nan

    @property
    def early(self) -> tuple[str, ...]:
        """Names of the stages that have held before the running one."""
        stages, running = self.stages, self.running
        later = stages[stages.index(running) + 1 :] if running else ()
        return tuple(one.statement.name for one in later if one.held)

    @property
    def failed(self) -> StatementState | None:
        """The first failure that has held and ends the episode."""
        return next((one for one in self.each if one.ends and one.held), None)


class StatementTracker:
    """Judges the statements of one baseline of an episode; make a new one for the next."""

    def __init__(self, asked: Sequence[AskedStatement]) -> None:
        """Starts them all."""
        self._asked = tuple(asked)
        self._detectors = [SuccessDetector(one.success) for one in asked]
        self._progress = [one.progress or RunningProgress(one.success.threshold) for one in asked]

    def interrupt(self) -> None:
        """Starts windows and holds anew, for readings are missing before the next one."""
        for detector in self._detectors:
            detector.interrupt()

    def update(
        self, log_probs: Sequence[float], episode_time: float, *, seen: bool
    ) -> StatementStates:
        """Takes the next reading in.

        Args:
            log_probs: nat, one for each statement, in order.
            episode_time: s since the baseline's start, by the camera; it must advance.
            seen: whether it is of pictures that a camera took then.
        """
        return StatementStates(
            tuple(
                self._state(index, float(value), episode_time, seen)
                for index, value in enumerate(log_probs)
            )
        )

    def _state(self, index: int, log_prob: float, now: float, seen: bool) -> StatementState:
        asked, progress = self._asked[index], self._progress[index]
        state = self._detectors[index].update(log_prob, now, seen=seen)
        return StatementState(
            asked.statement,
            log_prob,
            progress.update(log_prob),
            progress.source,
            state.score,
            asked.success.threshold,
            state.success,
            asked.ends,
        )
