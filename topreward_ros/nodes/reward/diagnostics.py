"""The report of `reward_node`: model, episode and each camera."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from topreward_ros.nodes.diagnostics import (
    ERROR,
    OK,
    WARN,
    Latencies,
    Rates,
    camera_status,
    diagnostic_array,
    diagnostic_status,
    memory_values,
)
from topreward_ros.nodes.reward.episode_setup import promise_ends

if TYPE_CHECKING:
    from collections.abc import Mapping

    from topreward_msgs.msg import RewardStamped
    from topreward_ros.models.contract import VideoScorer
    from topreward_ros.nodes.lifecycle import GuardedLifecycleNode
    from topreward_ros.nodes.reward.live_parameters import LiveParameters
    from topreward_ros.nodes.reward.runner import EpisodeRunner
    from topreward_ros.nodes.reward.scoring_thread import ScoringThread

LAGGING_FRAMES = 3
"""Waiting frames from which scoring counts as behind."""


class RewardDiagnostics:
    """Reads the node's state and makes its diagnostics."""

    def __init__(
        self,
        node: GuardedLifecycleNode,
        settings: LiveParameters,
        scoring: ScoringThread,
        runner: EpisodeRunner,
    ) -> None:
        """Starts without a former report.

        Args:
            node: is read, as all of its parts are, and never changed.
            settings: its parameters.
            scoring: its thread with the model.
            runner: runs its episodes.
        """
        self._node = node
        self._settings = settings
        self._scoring = scoring
        self._runner = runner
        self._rates = Rates()

    def message(self, camera_problems: Mapping[str, str]) -> DiagnosticArray:
        """Returns the report of now.

        Args:
            camera_problems: by topic, why a camera could not be subscribed.
        """
        name = self._node.get_fully_qualified_name().lstrip("/")
        parts = [self._model(), self._episode(), *self._cameras(camera_problems)]
        statuses: list[DiagnosticStatus] = [diagnostic_status(name, *part) for part in parts]
        return diagnostic_array(self._node.get_clock().now().to_msg(), statuses)

    def _model(self) -> tuple[str, bytes, str, dict[str, str]]:
        node, equipment = self._node, self._runner.equipment
        scorer = equipment.scorer if equipment else None
        level, text = OK, f"The node is {node.state}."
        if node.failure:
            level, text = ERROR, node.failure
        elif scorer and scorer.health and scorer.health.trouble:
            level, text = ERROR, scorer.health.trouble
        elif scorer and scorer.backend.remark:
            level, text = WARN, scorer.backend.remark
        elif self._settings.problems:
            level, text = WARN, " ".join(self._settings.problems.values())
        values = {
            "state": node.state,
            "model": scorer.name if scorer else "",
            "fingerprint": scorer.fingerprint if scorer else "",
            "frame_size": "x".join(map(str, scorer.frame_size)) if scorer else "",
            **(_backend_values(scorer) if scorer else {}),
            **memory_values(),
        }
        return "model", level, text, values

    def _episode(self) -> tuple[str, bytes, str, dict[str, str]]:
        runner, episode = self._runner, self._runner.episode
        last = episode.last if episode else None
        readings = last.index + 1 if last else 0
        pending = self._scoring.pending
        values = {
            "episode_id": episode.episode_id if episode else "",
            "instruction": runner.instruction,
            "readings": str(readings),
            "reading_rate_hz": f"{self._rates.rate('readings', readings, time.monotonic()):.2f}",
            "frames_selected": str(episode.intake.selected if episode else 0),
            "frames_without_motion": str(episode.intake.gated if episode else 0),
            "holes": str(episode.intake.holes if episode else 0),
            "pending_frames": str(pending),
            "merged_frames": str(self._scoring.merged),
            **_percentiles("latency", runner.latencies),
            **_percentiles("picture", runner.pictures),
            **_percentiles("overhead", runner.overheads),
            "model_time_ms": f"{last.model_time * 1e3:.1f}" if last else "nan",
            "lost_cameras": " ".join(self._lost()),
        }
        return "episode", *self._verdict(pending), values

    def _verdict(self, pending: int) -> tuple[bytes, str]:
        runner, episode = self._runner, self._runner.episode
        if self._node.state != "active":
            return OK, "No episode: the node is not active."
        if runner.halted:
            return ERROR, runner.halted
        if episode is None:
            return WARN, "Waiting for an instruction on task_instruction."
        if self._lost():
            return ERROR, f"Without usable image: {', '.join(self._lost())}."
        merged = self._scoring.merged
        if pending >= LAGGING_FRAMES or merged:
            return WARN, (
                f"Scoring is {max(pending, merged)} frames behind; scores are merged, and success "
                "is not claimed over merged ones."
            )
        holes = episode.intake.holes
        if holes:
            step = episode.intake.settings.longest_step
            return WARN, (
                f"{holes} frame(s) came more than {step:g} s of camera time after the one before; "
                "success is held anew after each. A camera slower than sample_rate needs a lower "
                "one."
            )
        limit = promise_ends(runner.equipment.calibration, runner.instruction)
        if limit is not None and _undecided_after(limit, episode.last):
            return WARN, (
                f"No success is claimed any more: the episode is longer than {limit:g} s, the "
                "longest failure that was calibrated with. Calibrate with longer ones."
            )
        if episode.warning:
            return WARN, episode.warning
        return OK, "Scoring." if episode.last else "Waiting for the first frame."

    def _lost(self) -> list[str]:
        equipment = self._runner.equipment
        return equipment.watch.lost if equipment else []

    def _cameras(self, problems: Mapping[str, str]) -> list[tuple[str, bytes, str, dict[str, str]]]:
        equipment, now = self._runner.equipment, time.monotonic()
        if equipment is None:
            return []
        return [
            camera_status(
                camera,
                topic=topic,
                problem=problems.get(topic, ""),
                rate=self._rates.rate(topic, camera.received, now),
                age=now - camera.last_heard,
                watched=self._node.state == "active",
                disorder=self._disorder(topic),
            )
            for topic, camera in equipment.watch.cameras.items()
        ]

    def _disorder(self, topic: str) -> dict[str, int]:
        episode = self._runner.episode
        if episode is None:
            return {}
        camera = episode.intake.cameras[topic]
        return {
            "late": camera.late,
            "outlying": camera.outlying,
            "frozen_frames": camera.frozen,
        }


def _backend_values(scorer: VideoScorer) -> dict[str, str]:
    backend, health = scorer.backend, scorer.health
    values = {"backend": backend.name}
    for name in ("exact", "flat", "resend", "censored"):
        values[name] = str(getattr(backend, name)).lower()
    if health:
        middle, high = health.percentiles()
        values["server"] = health.address
        values["server_ms_p50"], values["server_ms_p95"] = (
            f"{middle * 1e3:.1f}",
            f"{high * 1e3:.1f}",
        )
        values["videos_sent_again"] = str(health.resent)
    return values


def _percentiles(name: str, latencies: Latencies) -> dict[str, str]:
    middle, high = latencies.percentiles()
    return {f"{name}_ms_p50": f"{middle:.1f}", f"{name}_ms_p95": f"{high:.1f}"}


def _undecided_after(limit: float, last: RewardStamped | None) -> bool:
    return last is not None and not last.success and last.episode_time > limit
