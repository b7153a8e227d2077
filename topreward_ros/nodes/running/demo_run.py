"""One run of the demo: reward_node and replay_node as processes, watched until all is scored."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.nodes.processes import ProcessGroup
from topreward_ros.nodes.running.demo_episode import DemoError, choose_episode, model_environment
from topreward_ros.nodes.running.node_commands import node_command
from topreward_ros.nodes.viewing.episode_watch import EpisodeWatch
from topreward_ros.nodes.viewing.live_view import View, open_view
from topreward_ros.offline.report import EpisodeReport, model_label

REWARD_NODE = "/topreward/reward_node"
START_LIMIT = 120.0
"""S for a process to answer."""
LOAD_LIMIT = 600.0
"""S for the model to load."""
QUIET_LIMIT = 60.0
"""S without a picture or a reading."""
TICK = 0.1
REFRESH = 0.25
"""S between two drawings of the live view."""


class DemoRun:
    """One run."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Finds the episode.

        Args:
            options: of the command line.

        Raises:
            DemoError: nothing says what the episode is about, or it has no such camera.
            ValueError: the episode cannot be read.
            OSError: the output directory cannot be made.
        """
        self._options = options
        self._episode = choose_episode(
            options.episode,
            instruction=options.instruction,
            camera=options.camera,
            fps=options.fps,
        )
        self._logs: Path = options.output / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._group = ProcessGroup()

    def play(self) -> EpisodeReport:
        """Plays the episode, shows it, and returns what came of it.

        Raises:
            DemoError: a node failed, or nothing came in time.
            ReportError: there was not a single reading.
        """
        name = model_label(self._options.model)
        view = open_view(
            f"{name} · {self._episode.name}", self._episode.instruction, plain=self._options.plain
        )
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        try:
            self._watch = EpisodeWatch("demo", REWARD_NODE, view)
            self._executor = SingleThreadedExecutor()
            self._executor.add_node(self._watch)
            with view, self._group:
                self._view: View = view
                self._stage()
                view.say("stopping the nodes")
                view.refresh()
                self._group.stop()
            self._executor.shutdown()
            self._watch.destroy_node()
        finally:
            rclpy.try_shutdown()
        return self._report()

    def _stage(self) -> None:
        self._start_nodes()
        self._change_state("configure", "loading the model", LOAD_LIMIT)
        self._change_state("activate", "starting the episode", START_LIMIT)
        # The replay waits for two subscribers; this is the second one.
        self._watch.watch_camera(self._episode.topic)
        self._until(
            lambda: "replay_node" not in self._group.running(),
            "playing",
            QUIET_LIMIT,
            "nothing came from the cameras",
            self._played,
        )
        if not self._watch.frames.seen:
            raise DemoError("Not a single picture arrived on the camera topic.")
        self._until(
            lambda: self._watch.settled(self._episode.pictures),
            "waiting for the last reading",
            QUIET_LIMIT,
            f"none of the last of {self._watch.frames.seen} pictures were scored",
        )

    def _start_nodes(self) -> None:
        reward = {
            "model": self._options.model,
            "instruction": self._episode.instruction,
            "cameras": [self._episode.topic],
            **self._episode.reception(),
        }
        replay = {
            "path": str(self._episode.path),
            "rate": self._options.rate,
            "fps": self._episode.fps,
            "topics": [self._episode.recorded_topic],
            "quality": self._episode.quality,
            "wait_for_subscribers": 2,
        }
        environment = model_environment(self._options.model)
        namespace = REWARD_NODE.split("/")[1]
        for node, parameters, where in (
            ("reward_node", reward, namespace),
            ("replay_node", replay, ""),
        ):
            command = node_command(node, parameters, namespace=where)
            self._group.start(
                node, command, environment=environment, log=self._logs / f"{node}.log"
            )

    def _change_state(self, transition: str, status: str, limit: float) -> None:
        self._until(
            self._watch.lifecycle.service_is_ready,
            "starting the nodes",
            START_LIMIT,
            "reward_node did not answer",
        )
        answer = self._watch.change_state(transition)
        self._until(answer.done, status, limit, f"nothing came of {status}")
        if not answer.result().success:
            raise DemoError(f"reward_node: {self._last_error('reward_node')}")

    def _played(self) -> str:
        if not self._watch.frames.seen:
            return "begins"
        played = self._watch.newest_stamp - self._watch.frames.stamps[0]
        return f"{played:.0f} of {self._episode.duration:.0f} s"

    def _until(
        self,
        happens: Callable[[], bool],
        status: str,
        limit: float,
        failure: str,
        detail: Callable[[], str] = str,
    ) -> None:
        """Spins until something is so, keeps the view alive, and looks after the processes.

        Args:
            happens: what is waited for.
            status: what is being done.
            limit: s without any sign of life after which it has failed.
            failure: what has failed then.
            detail: how far it is.

        Raises:
            DemoError: a process failed, or the limit has passed.
        """
        signs, seen_at, drawn_at = None, time.monotonic(), -REFRESH
        while not happens():
            self._executor.spin_once(timeout_sec=TICK)
            self._check_processes()
            now = time.monotonic()
            if signs != (signs := (len(self._watch.readings), self._watch.frames.seen)):
                seen_at = now
            if now - seen_at > limit:
                raise DemoError(f"For {limit:.0f} s {failure}; see {self._logs}.")
            if now - drawn_at >= REFRESH:
                drawn_at = now
                self._view.say(status, detail())
                self._view.refresh()

    def _check_processes(self) -> None:
        end = self._group.poll()
        if end and (end.code or end.name != "replay_node"):
            raise DemoError(f"{end}: {self._last_error(end.name)}")
        for event in self._watch.events:
            if event.termination_reason == EpisodeEvent.REASON_MODEL_ERROR:
                raise DemoError(f"reward_node: {event.detail}")

    def _last_error(self, node: str) -> str:
        log = self._logs / f"{node}.log"
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        wanted = [line for line in lines if "[ERROR]" in line or line.startswith(f"{node}:")]
        text = (wanted or lines or ["it said nothing"])[-1]
        return f"{text.split(']: ', 1)[-1]} (see {log})"

    def _report(self) -> EpisodeReport:
        return EpisodeReport(
            model=self._options.model,
            instruction=self._episode.instruction,
            episode=f"episode {self._episode.name}",
            readings=self._watch.readings,
            frames=self._watch.frames,
            extra={"rate": self._options.rate},
        )
