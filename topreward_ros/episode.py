"""One episode: frames and stamps in, readings out. Live and offline use the same one."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from topreward_ros.episode_settings import EpisodeSettings
from topreward_ros.method.progress import CalibratedProgress, RunningProgress
from topreward_ros.method.prompt import validate_instruction
from topreward_ros.method.reward import DenseReward
from topreward_ros.method.stall import NewFrames, StallDetector, StallState
from topreward_ros.method.statement_states import StatementStates, StatementTracker
from topreward_ros.method.success import SuccessDetector
from topreward_ros.models.contract import VideoScorer
from topreward_ros.video.selection import ClockJump

STAMP_DIGITS = 4
"""Of seconds. Stamps of today are exact to 0.24 µs only, and a pair of frames at 2 Hz has a mean
time on the very edge (0.25 s) at which the prompt's one decimal turns over."""


@dataclass(frozen=True)
class Reading:
    """What the model says of the video up to one frame (message `RewardStamped`).

    Attributes:
        index: number of this reading in the episode, from 0.
        stamp: s of camera time, of the newest frame.
        episode_time: s since the episode's first frame.
        frames: frames that the model has seen.
        seen: whether every camera's picture in the newest frame is a new one.
        instruction: the task that was asked about.
        log_prob: nat; NaN when the model gave no number.
        censored: whether that is because the service tells the most probable tokens alone, and the
            answer is none of them.
        progress: 0..1.
        progress_source: `calibrated` or `running`.
        reward: of this step, without unit.
        reward_form: `difference` or `exp_clip`.
        success_score: nat, mean of the last log-probs; NaN before the window is full, which it
            has to become anew where frames were merged into one reading.
        success_threshold: nat; None: success is never claimed.
        success: latched.
        success_since: s, episode time at which it latched; None before.
        success_holds: whether the score of a latched success is above the threshold still, and has
            been for the hold.
        model_time: s spent in the model for this reading.
        stall: whether progress goes on.
        statements: what is known of those that are asked about beside the task.
    """

    index: int
    stamp: float
    episode_time: float
    frames: int
    seen: bool
    instruction: str
    log_prob: float
    censored: bool
    progress: float
    progress_source: str
    reward: float
    reward_form: str
    success_score: float
    success_threshold: float | None
    success: bool
    success_since: float | None
    success_holds: bool
    model_time: float
    stall: StallState = field(default_factory=StallState)
    statements: StatementStates = field(default_factory=StatementStates)

    @property
    def stage(self) -> str:
        """Name of the running stage, or ""."""
        return self.statements.stage

    @property
    def stage_progress(self) -> float:
        """0..1, of the running stage; NaN where none runs."""
        return self.statements.stage_progress


class Episode:
    """One attempt at a task. Belongs to the thread of its scorer."""

    def __init__(
        self, scorer: VideoScorer, instruction: str, settings: EpisodeSettings | None = None
    ) -> None:
        """Starts a session of the scorer; see `VideoScorer.start` on what becomes of others.

        Args:
            scorer: the model.
            instruction: the task.
            settings: see `EpisodeSettings`.

        Raises:
            InstructionError: the instruction cannot be asked about.
        """
        self._instruction = validate_instruction(instruction)
        self._settings = settings or EpisodeSettings()
        self._session = scorer.start()
        self._censored = scorer.backend.censored
        self._first = self._last = self._read_to = math.nan
        self._log_probs: list[float] = []
        self._scored: tuple[int, str] | None = None
        self._readings = 0
        self._seen = True
        self._unread = NewFrames()
        self._baseline = self._new_baseline(0.0)

    @property
    def instruction(self) -> str:
        """The task that is asked about."""
        return self._instruction

    def add_frame(
        self, frame: NDArray[np.uint8] | None, stamp: float, *, seen: bool = True
    ) -> None:
        """Adds the next frame; the model is not asked yet.

        Args:
            frame: (height, width, 3) uint8 RGB of the scorer's frame size. None: nothing has moved
                since the last one; time passes, so a success can be held, and the video, and with
                it the log-probability, stays as it is.
            stamp: s of camera time.
            seen: whether it shows what a camera saw then. A picture that is not new, of a camera
                that is frozen, is no evidence of success: time passes, and the hold starts anew.

        Raises:
            ClockJump: the stamp is not later than the last; the episode cannot go on.
            ValueError: the stamp is no finite number, or the frame has another size or type.
        """
        if not math.isfinite(stamp):
            raise ValueError(
                f"The frame's stamp is {stamp} s; expected a finite number, the camera's time."
            )
        if stamp <= self._last:
            raise ClockJump(
                f"A frame of {stamp:.3f} s follows one of {self._last:.3f} s; time went back, so "
                "the episode ends. Start a new one."
            )
        first = stamp if math.isnan(self._first) else self._first
        if frame is not None:
            self._session.append(frame, round(stamp - first, STAMP_DIGITS))
        step = 0.0 if math.isnan(self._last) else stamp - self._last
        self._first, self._last = first, stamp
        self._seen = seen
        self._unread.take(step, moved=frame is not None, seen=seen)

    def update(self) -> Reading | None:
        """Scores the video so far; None when no frame came since the last reading.

        Several frames since then make one reading, and success has to be held anew from it on: a
        threshold is chosen on episodes of which every frame was scored.
        """
        if not self._session.frames or self._last == self._read_to:
            return None
        before = time.perf_counter()
        if self._scored != (self._session.frames, self._instruction):
            self._log_probs = self._ask()
            self._scored = (self._session.frames, self._instruction)
        reading = self._read(self._log_probs, time.perf_counter() - before)
        self._read_to = self._last
        self._readings += 1
        return reading

    def _ask(self) -> list[float]:
        """Returns the log-probs of the task and of the statements, all on one video."""
        if not self._settings.statements:
            return [self._session.log_prob(self._instruction)]
        texts = [each.statement.text for each in self._settings.statements]
        return [float(value) for value in self._session.log_probs([self._instruction, *texts])]

    def settle(self) -> None:
        """Does the work that only later readings need; meant for the pause after one."""
        self._session.settle()

    def set_instruction(self, text: str) -> None:
        """Asks about another task from now on; progress, reward and success start anew.

        Scores of two instructions are not comparable. The video goes on.

        Raises:
            InstructionError: the instruction cannot be asked about; the old one stays.
        """
        instruction = validate_instruction(text)
        if instruction != self._instruction:
            self._instruction = instruction
            elapsed = self._last - self._first
            self._baseline = self._new_baseline(0.0 if math.isnan(elapsed) else elapsed)

    def _new_baseline(self, start: float) -> _Baseline:
        settings = self._settings
        running = RunningProgress(settings.success.threshold)
        return _Baseline(
            start,
            settings.progress or running,
            DenseReward(settings.reward_form),
            SuccessDetector(settings.success),
            StallDetector(settings.stall),
            StatementTracker(settings.statements),
        )

    def _read(self, log_probs: list[float], model_time: float) -> Reading:
        log_prob = log_probs[0]
        base, episode_time = self._baseline, self._last - self._first
        elapsed = episode_time - base.start
        unread, self._unread = self._unread, NewFrames()
        if unread.count > 1:
            base.success.interrupt()
            base.statements.interrupt()
        progress = base.progress.update(log_prob)
        state = base.success.update(log_prob, elapsed, seen=self._seen)
        stall = base.stall.update(progress, elapsed, unread, done=state.holds)
        statements = base.statements.update(log_probs[1:], elapsed, seen=self._seen)
        return Reading(
            index=self._readings,
            stamp=self._last,
            episode_time=episode_time,
            frames=self._session.frames,
            seen=self._seen,
            instruction=self._instruction,
            log_prob=log_prob,
            censored=self._censored and math.isnan(log_prob),
            progress=progress,
            progress_source=base.progress.source,
            reward=base.reward.step(progress),
            reward_form=base.reward.form.value,
            success_score=state.score,
            success_threshold=self._settings.success.threshold,
            success=state.success,
            success_since=None if state.since is None else state.since + base.start,
            success_holds=state.holds,
            model_time=model_time,
            stall=stall,
            statements=statements,
        )


@dataclass(frozen=True)
class _Baseline:
    """What starts anew with every instruction, and when that was (s of episode time)."""

    start: float
    progress: CalibratedProgress | RunningProgress
    reward: DenseReward
    success: SuccessDetector
    stall: StallDetector
    statements: StatementTracker
