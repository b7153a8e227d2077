"""Readings and events as messages of `topreward_msgs`, and how long they are kept and awaited."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from topreward_msgs.msg import EpisodeEvent, RewardStamped, StatementReading, Statements
from topreward_ros.printable import printable

if TYPE_CHECKING:
    from topreward_ros.episode import Reading
    from topreward_ros.method.statement_states import StatementState, StatementStates

NANOSECONDS = 1_000_000_000
ACKNOWLEDGED = Duration(nanoseconds=300_000_000)
"""How long the last event may take to reach its subscribers before the node goes."""


def latched(depth: int = 1) -> QoSProfile:
    """Returns the quality of service of what a late subscriber still has to know."""
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def ending(event: EpisodeEvent) -> str:
    """Returns in a word or two how an episode ended: why, and its outcome where that says more."""
    reason, outcome = event.termination_reason, event.outcome
    said = ("", reason, EpisodeEvent.OUTCOME_UNLABELLED)
    return reason if outcome in said else f"{reason}, {outcome}"


def time_message(seconds: float) -> Time:
    """Returns `builtin_interfaces/Time` of seconds, to the nearest nanosecond."""
    whole = math.floor(seconds)  # first: seconds * 1e9 has 256 ns steps today
    carry, nanoseconds = divmod(round((seconds - whole) * NANOSECONDS), NANOSECONDS)
    return Time(sec=whole + carry, nanosec=nanoseconds)


def frame_header(stamp: float, frame_id: str, message_header: Header) -> Header:
    """Returns the header of a frame; its stamp is the message's to the nanosecond if it is that.

    Args:
        stamp: s, the frame's time; float64 holds today's times to 0.24 µs.
        frame_id: of the camera that took the frame's newest picture.
        message_header: of the message that completed the frame.
    """
    exact = message_header.stamp
    same = abs(exact.sec + exact.nanosec * 1e-9 - stamp) < 1e-6
    return Header(stamp=exact if same else time_message(stamp), frame_id=frame_id)


def reading_message(
    reading: Reading,
    *,
    header: Header,
    episode_id: str,
    model: str,
    latency: float,
    pending_frames: int,
) -> RewardStamped:
    """Returns a reading as it is published.

    Args:
        reading: from the episode.
        header: of the newest frame it saw.
        episode_id: of its episode.
        model: as it was asked for.
        latency: s, from the arrival of the newest frame to now.
        pending_frames: frames that wait for scoring.
    """
    threshold = reading.success_threshold
    return RewardStamped(
        header=header,
        episode_id=episode_id,
        instruction=reading.instruction,
        index=reading.index,
        frames=reading.frames,
        episode_time=float(reading.episode_time),
        log_prob=float(reading.log_prob),
        censored=reading.censored,
        progress=float(reading.progress),
        progress_source=reading.progress_source,
        reward=float(reading.reward),
        reward_form=reading.reward_form,
        success_score=float(reading.success_score),
        success_threshold=math.nan if threshold is None else float(threshold),
        success=bool(reading.success),
        success_holds=bool(reading.success_holds),
        latency=latency,
        model_time=float(reading.model_time),
        pending_frames=pending_frames,
        model=model,
        stage=reading.stage,
        stage_progress=float(reading.stage_progress),
    )


def statements_message(states: StatementStates, reading: RewardStamped) -> Statements:
    """Returns an episode's statements as they are published.

    Args:
        states: of a reading.
        reading: that reading as it is published.
    """
    return Statements(
        header=reading.header,
        episode_id=reading.episode_id,
        index=reading.index,
        statements=[_statement_message(state) for state in states.each],
        stage=reading.stage,
        stage_progress=reading.stage_progress,
    )


def _statement_message(state: StatementState) -> StatementReading:
    return StatementReading(
        name=state.statement.name,
        role=state.statement.role.value,
        text=state.statement.text,
        log_prob=float(state.log_prob),
        progress=float(state.progress),
        progress_source=state.progress_source,
        score=float(state.score),
        threshold=math.nan if state.threshold is None else float(state.threshold),
        held=bool(state.held),
    )


def event_message(
    event: str,
    *,
    stamp: Time,
    episode_id: str,
    instruction: str,
    reason: str = "",
    detail: str = "",
    duration: float = 0.0,
    last: RewardStamped | None = None,
) -> EpisodeEvent:
    """Returns an event of the reward node.

    Args:
        event: `EpisodeEvent.STARTED`, `STOPPED`, `FAULT` or `RECOVERED`.
        stamp: node clock.
        episode_id: of the episode it concerns.
        instruction: the episode's.
        reason: `EpisodeEvent.REASON_*`; of a fault, the reason it would end the episode for.
        detail: one sentence for people.
        duration: s, since the episode was started.
        last: the episode's last reading, if there is one.
    """
    outcome = EpisodeEvent.OUTCOME_UNLABELLED if event == EpisodeEvent.STOPPED else ""
    return EpisodeEvent(
        header=Header(stamp=stamp),
        event=event,
        episode_id=episode_id,
        instruction=instruction,
        termination_reason=reason,
        outcome=outcome,
        detail=printable(detail),
        duration=duration,
        readings=0 if last is None else last.index + 1,
        log_prob=math.nan if last is None else last.log_prob,
        progress=math.nan if last is None else last.progress,
        success_score=math.nan if last is None else last.success_score,
    )
