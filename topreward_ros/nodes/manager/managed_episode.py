"""One episode as the manager sees it: what it was asked for, what it has shown, how it ended."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from rclpy.task import Future

from topreward_msgs.action import RunEpisode
from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_msgs.srv import StartEpisode
from topreward_ros.method.prompt import validate_instruction
from topreward_ros.method.statements import parse_statements
from topreward_ros.method.success import TIME_TOLERANCE
from topreward_ros.nodes.manager.stop_actions import StopResult
from topreward_ros.nodes.messages import event_message
from topreward_ros.printable import printable

OUTCOMES = {
    EpisodeEvent.REASON_SUCCESS: EpisodeEvent.OUTCOME_SUCCESS,
    EpisodeEvent.REASON_FAILURE: EpisodeEvent.OUTCOME_FAILURE,
    EpisodeEvent.REASON_TIMEOUT: EpisodeEvent.OUTCOME_FAILURE,
}
"""What a reason says of the outcome; nothing for any other."""
BLIND = {
    EpisodeEvent.REASON_CAMERA_LOST: "lost",
    EpisodeEvent.REASON_CAMERA_FROZEN: "frozen",
}
"""Faults of a camera with which an episode cannot be judged, in a word."""


@dataclass(frozen=True)
class EpisodeRequest:
    """What is asked for.

    Attributes:
        instruction: the task; empty: the current one.
        time_limit: s; 0: the manager's.
        min_duration: s; negative: the manager's.
        statements: asked about beside the task; none: the reward node's.
    """

    instruction: str = ""
    time_limit: float = 0.0
    min_duration: float = -1.0
    statements: tuple[str, ...] = ()

    @classmethod
    def of(cls, asked: RunEpisode.Goal | StartEpisode.Request) -> EpisodeRequest:
        """Reads a goal or a service's request; raises ValueError as the constructor does."""
        return cls(
            asked.instruction.strip(), asked.time_limit, asked.min_duration, tuple(asked.statements)
        )

    def __post_init__(self) -> None:
        """Refuses with ValueError what nothing can be started with."""
        if self.instruction:
            validate_instruction(self.instruction)
        parse_statements(self.statements)
        if not (math.isfinite(self.time_limit) and self.time_limit >= 0.0):
            raise ValueError(
                f"time_limit is {self.time_limit}; expected seconds, or 0 for the manager's."
            )
        if not math.isfinite(self.min_duration):
            raise ValueError(
                f"min_duration is {self.min_duration}; expected seconds, negative: the manager's."
            )


@dataclass
class ManagedEpisode:
    """A running or ended episode.

    Attributes:
        episode_id: the reward node's.
        instruction: the task it was started with.
        request: how it can be started again.
        time_limit: s.
        min_duration: s.
        started: s, steady clock.
        asked: whether somebody asked the manager for it.
        watched: s, steady clock, since when the manager watches over it; its time limit counts
            from there, because a start that another machine's clock tells may be far off.
        on_reading: told of its readings.
        owner: id of the goal that it belongs to; empty if none.
        last: its last reading.
        readings: how many were received.
        blind: by reason, how many cameras are lost or frozen.
        blind_since: s, steady clock; of the first of them.
        reason: why it ended; empty while it runs.
        outcome: how it ended.
        detail: one sentence on the end.
        duration: s, at its end.
        stop_results: of the stop actions that ran.
        finished: done when everything that follows the end is done.
    """

    episode_id: str
    instruction: str
    request: EpisodeRequest
    time_limit: float
    min_duration: float
    started: float
    asked: bool
    watched: float
    on_reading: Callable[[RewardStamped], None] | None = None
    owner: bytes = b""
    last: RewardStamped | None = None
    readings: int = 0
    blind: dict[str, int] = field(default_factory=dict)
    blind_since: float = math.inf
    reason: str = ""
    outcome: str = ""
    detail: str = ""
    duration: float = 0.0
    stop_results: list[StopResult] = field(default_factory=list)
    finished: Future = field(default_factory=Future)

    def take(self, reading: RewardStamped) -> None:
        """Notes a reading."""
        self.last = reading
        self.readings += 1
        if self.on_reading is not None:
            self.on_reading(reading)

    def verdict(self) -> tuple[str, str] | None:
        """Returns reason and one sentence of the end that the last reading brings, if it does."""
        elapsed = self.last.episode_time
        if elapsed - TIME_TOLERANCE > self.time_limit:
            return self._timeout()  # merged readings: success within the limit was not shown
        # The flag is latched: it stays true when the score falls again, and whoever waits for a
        # minimum duration of its own must not stop a robot on what was true then.
        if (
            self.last.success
            and self.last.success_holds
            and elapsed + TIME_TOLERANCE >= self.min_duration
        ):
            return EpisodeEvent.REASON_SUCCESS, (
                f"The success score {self.last.success_score:.2f} nat stayed above "
                f"{self.last.success_threshold:.2f}."
            )
        return self._timeout() if elapsed + TIME_TOLERANCE >= self.time_limit else None

    def overdue(self, now: float, camera_patience: float) -> tuple[str, str] | None:
        """Returns the same of the end that the clock brings.

        Args:
            now: s, steady clock.
            camera_patience: s for which a camera may be lost.
        """
        if now - self.blind_since >= camera_patience:
            reason = next(reason for reason in BLIND if self.blind.get(reason))
            return reason, (
                f"{self.blind[reason]} camera(s) stayed {BLIND[reason]} for {camera_patience:g} s."
            )
        return self._timeout() if now - self.watched >= self.time_limit else None

    def go_blind(self, reason: str, now: float) -> bool:
        """Notes a fault; says whether the episode cannot be judged with it."""
        if reason not in BLIND:
            return False
        self.blind_since = min(self.blind_since, now)
        self.blind[reason] = self.blind.get(reason, 0) + 1
        return True

    def see_again(self, reason: str) -> None:
        """Notes that a fault is over."""
        if self.blind.get(reason):
            self.blind[reason] -= 1
        if not any(self.blind.values()):
            self.blind_since = math.inf

    def end(self, reason: str, detail: str, now: float, outcome: str = "") -> None:
        """Notes the end, once and for all."""
        self.reason, self.detail = reason, printable(detail)
        self.outcome = outcome or OUTCOMES.get(reason, EpisodeEvent.OUTCOME_UNLABELLED)
        self.duration = now - self.started

    @property
    def truncated(self) -> bool:
        """Whether it was cut off before anything decided its task, once it has ended.

        A verdict of the model, or of whoever stopped it, decides it. The time limit does not,
        though its outcome is a failure: the robot might have gone on.
        """
        cut_short = EpisodeEvent.REASON_TIMEOUT
        return self.reason == cut_short or self.outcome == EpisodeEvent.OUTCOME_UNLABELLED

    def event(self, event: str, stamp: Time, now: float, detail: str = "") -> EpisodeEvent:
        """Returns an event of this episode.

        Args:
            event: `EpisodeEvent.STARTED`, `STOPPED`, ….
            stamp: node clock.
            now: s, steady clock.
            detail: one sentence; of STOPPED it is known.
        """
        stopped = event == EpisodeEvent.STOPPED
        message = event_message(
            event,
            stamp=stamp,
            episode_id=self.episode_id,
            instruction=self.instruction,
            reason=self.reason if stopped else "",
            detail=self.detail if stopped else detail,
            duration=self._elapsed(event, now),
            last=self.last,
        )
        message.readings = self.readings
        if stopped:
            message.outcome = self.outcome
        return message

    def result(self) -> RunEpisode.Result:
        """Returns the action's result."""
        last = self.last
        return RunEpisode.Result(
            episode_id=self.episode_id,
            outcome=self.outcome,
            termination_reason=self.reason,
            detail=self.detail,
            duration=self.duration,
            readings=self.readings,
            log_prob=math.nan if last is None else last.log_prob,
            progress=math.nan if last is None else last.progress,
            success_score=math.nan if last is None else last.success_score,
            stop_actions_done=all(result.done for result in self.stop_results),
            stage="" if last is None else last.stage,
            stage_progress=math.nan if last is None else last.stage_progress,
        )

    def _timeout(self) -> tuple[str, str]:
        sentence = f"There was no success within the limit of {self.time_limit:g} s."
        return EpisodeEvent.REASON_TIMEOUT, sentence

    def _elapsed(self, event: str, now: float) -> float:
        if event == EpisodeEvent.STARTED:
            return 0.0
        return self.duration if event == EpisodeEvent.STOPPED else now - self.started
