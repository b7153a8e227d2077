"""What is left of one episode for people: what was published, and what the cameras saw.

It computes no reward of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from topreward_ros.offline.frame_log import FrameLog


class ReportError(ValueError):
    """An episode of which nothing can be reported; the message says why."""


@dataclass(frozen=True)
class LoggedReading:
    """One reading as it was published (topreward_msgs/RewardStamped has the same fields).

    Attributes:
        stamp: s, of the newest scored frame, by the camera.
        episode_time: s, from the episode's first frame to the newest.
        frames: frames that the model has seen.
        log_prob: nat.
        progress: 0..1.
        reward: per reading, without unit.
        success_score: nat; NaN before there are enough readings.
        success_threshold: nat; NaN where none is set.
        success: whether success has latched.
        latency: s, from the frame's arrival to its reading; NaN where nothing was live.
        model_time: s, of it in the model.
        pending_frames: selected frames that waited for scoring.
        progress_source: `calibrated` or `running`.
        reward_form: `difference` or `exp_clip`.
        censored: whether the log-prob is none because the service tells the most probable tokens
            alone, and the answer is none of them.
        stage: the running one; "" where there is none.
        stage_progress: 0..1, of that.
    """

    stamp: float
    episode_time: float
    frames: int
    log_prob: float
    progress: float
    reward: float
    success_score: float = math.nan
    success_threshold: float = math.nan
    success: bool = False
    latency: float = math.nan
    model_time: float = math.nan
    pending_frames: int = 0
    progress_source: str = "running"
    reward_form: str = "difference"
    censored: bool = False
    stage: str = ""
    stage_progress: float = math.nan


def stage_changes(readings: Sequence[LoggedReading]) -> list[tuple[str, float]]:
    """Returns the stages as they ran, with s since the episode's start from which on each did.

    Args:
        readings: in time order.

    Returns:
        None where no stage ever ran; "" stands where none runs any more.
    """
    changes: list[tuple[str, float]] = []
    for each in readings:
        note_stage(changes, each.stage, each.episode_time)
    return changes


def note_stage(changes: list[tuple[str, float]], stage: str, episode_time: float) -> None:
    """Adds the stage of the next reading to the changes, where it is another one."""
    if stage != (changes[-1][0] if changes else ""):
        changes.append((stage, episode_time))


def model_label(model: str) -> str:
    """Returns how a model is called before people; the demo model never goes by another name."""
    return "demo model" if model == "demo" else model


@dataclass(frozen=True)
class EpisodeReport:
    """One episode, as it was published.

    Attributes:
        model: what was loaded.
        instruction: the task that was asked about.
        episode: where the frames came from, for people.
        readings: at least one, in time order, of one episode.
        frames: the camera's pictures; their stamps are on the readings' clock.
        extra: more entries for the summary.
    """

    model: str
    instruction: str
    episode: str
    readings: Sequence[LoggedReading]
    frames: FrameLog
    extra: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses an episode without anything to report."""
        if not self.readings:
            raise ReportError(
                "There is not a single reading to report; the episode needs to be at least one "
                "sampling period long."
            )

    @property
    def start(self) -> float:
        """S, stamp at which the episode began."""
        return self.readings[0].stamp - self.readings[0].episode_time

    @property
    def model_label(self) -> str:
        """How the model is called before people."""
        return model_label(self.model)

    @property
    def success_time(self) -> float | None:
        """S since the episode's start at which success latched; None where it never did."""
        return next((each.episode_time for each in self.readings if each.success), None)

    @property
    def stage_spans(self) -> list[tuple[str, float, float]]:
        """Name, begin and end (s since the episode's start) of each stage that has run."""
        changes = stage_changes(self.readings)
        ends = [*(begin for _, begin in changes[1:]), self.readings[-1].episode_time]
        spans = zip(changes, ends, strict=False)
        return [(name, begin, end) for (name, begin), end in spans if name]

    @property
    def duration(self) -> float:
        """S from the episode's first frame to its last, scored or not."""
        newest = max([self.readings[-1].stamp, *self.frames.stamps[-1:]])
        return newest - self.start

    def summary(self) -> dict[str, object]:
        """Returns the episode in numbers; times in s, log-probs in nat, latencies in ms."""
        first, last = self.readings[0], self.readings[-1]
        latencies = np.array([each.latency for each in self.readings]) * 1e3
        known = latencies[np.isfinite(latencies)]
        p50, p95 = np.percentile(known, [50, 95]) if known.size else (math.nan, math.nan)
        values: dict[str, object] = {
            "success": last.success,
            "success_time_s": self.success_time,
            "episode_duration_s": self.duration,
            "progress_first": first.progress,
            "progress_last": last.progress,
            "log_prob_first": first.log_prob,
            "log_prob_last": last.log_prob,
            "success_threshold": last.success_threshold,
            "readings": len(self.readings),
            "readings_censored": sum(each.censored for each in self.readings),
            "frames": last.frames,
            "camera_frames": self.frames.seen,
            "latency_ms_p50": float(p50),
            "latency_ms_p95": float(p95),
            "model": self.model,
            "instruction": self.instruction,
            "episode": self.episode,
            **self.extra,
        }
        return {name: _for_json(value) for name, value in values.items()}


def _for_json(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
