"""The real nodes as processes over DDS, and recorded episodes that go through them one by one."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from tools.stack.rig_file import PlayedCamera, Rig
from tools.stack.robot_side import RobotSide, is_loaded
from topreward_msgs.action import RunEpisode
from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.processes import ProcessGroup
from topreward_ros.nodes.running.node_commands import node_command
from topreward_ros.offline.labelled_recordings import LabelledRecording
from topreward_ros.video.recordings.opening import open_recording

NAMESPACE = "topreward"
START_LIMIT = 120.0
"""s for a process to answer."""
LOAD_LIMIT = 600.0
"""s for the model to load."""
LATE = 4.0
"""s after a recording's length at which its episode ends: time to begin and to score the last
frames, and less than silent cameras are borne with."""
MESSAGE_LIMIT = 3.0
"""s for a message that was sent to arrive."""
JPEG_QUALITY = 92
"""Of raw recordings on a rig of compressed cameras."""
TICK = 0.1
ENDED_WELL = (EpisodeEvent.REASON_SUCCESS, EpisodeEvent.REASON_TIMEOUT)


class StackBroke(RuntimeError):
    """The nodes cannot go on; one sentence."""


@dataclass(frozen=True)
class Passage:
    """What came of one recording.

    Attributes:
        recording: with its label.
        outcome: `EpisodeEvent.OUTCOME_*`.
        reason: `EpisodeEvent.REASON_*`.
        readings: how many.
        frames: that the model has seen.
        log_prob: nat, of the last reading; NaN where there is none.
        calls: what the robot heard at the end.
        seconds: from the goal to its result.
        problem: what went wrong; empty if nothing.
    """

    recording: LabelledRecording
    outcome: str
    reason: str
    readings: int
    frames: int
    log_prob: float
    calls: Sequence[str]
    seconds: float
    problem: str


class StackRun:
    """Reward node and manager with a rig's parameters, and a stand-in for the robot."""

    def __init__(self, rig: Rig, robot: RobotSide, group: ProcessGroup, logs: Path) -> None:
        """Takes what `running` has started."""
        self._rig = rig
        self._robot = robot
        self._group = group
        self._logs = logs
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(robot)

    def wait_until_loaded(self) -> None:
        """Waits until an episode can be asked for.

        Raises:
            StackBroke: a node ended, or the model could not be loaded in time.
        """
        robot = self._robot
        self._until(robot.state.service_is_ready, START_LIMIT, "reward_node did not answer")
        self._until(robot.run_episode.server_is_ready, START_LIMIT, "episode_manager did not")
        end = time.monotonic() + LOAD_LIMIT
        while True:
            answer = robot.ask_state()
            self._until(answer.done, START_LIMIT, "reward_node did not say its state")
            if is_loaded(answer.result()):
                return
            if robot.faults:
                raise StackBroke(f"{robot.faults[-1]} See {self._logs / 'reward_node.log'}.")
            if time.monotonic() > end:
                raise StackBroke(f"The model was not loaded within {LOAD_LIMIT:.0f} s.")
            self._linger(TICK)

    def play(
        self, recording: LabelledRecording, cameras: Sequence[PlayedCamera], rate: float
    ) -> Passage:
        """Runs one episode from a recording.

        Args:
            recording: what is played, and asked about.
            cameras: which of its topics, and as what.
            rate: seconds of recording per second.

        Raises:
            StackBroke: a node ended, or did not answer.
        """
        limit = open_recording(recording.path).duration / rate + LATE
        goal = RunEpisode.Goal(
            instruction=recording.instruction, time_limit=limit, min_duration=-1.0
        )
        called, began = len(self._robot.calls), time.monotonic()
        with ProcessGroup() as player:
            player.start(
                "replay_node",
                replay_command(recording.path, cameras, rate),
                log=self._logs / f"replay_{recording.path.name}.log",
            )
            result = self._run(goal, cameras, limit)
            seconds = time.monotonic() - began
            failed = any(end.code > 0 for end in iter(player.poll, None))
        expected = self._rig.calls_after(result.termination_reason)
        self._arrive(lambda: len(self._robot.calls) - called >= len(expected))
        self._arrive(lambda: len(self._readings(result)) >= result.readings)
        calls = self._robot.calls[called:]
        problem = "replay_node failed" if failed else problem_of(result, calls, expected)
        frames = max((reading.frames for reading in self._readings(result)), default=0)
        return Passage(
            recording,
            result.outcome,
            result.termination_reason,
            result.readings,
            frames,
            result.log_prob,
            calls,
            seconds,
            problem,
        )

    def _run(
        self, goal: RunEpisode.Goal, cameras: Sequence[PlayedCamera], limit: float
    ) -> RunEpisode.Result:
        robot, known = self._robot, len(self._robot.started)
        topics = [camera.listened for camera in cameras]
        self._until(
            lambda: all(robot.count_publishers(topic) for topic in topics),
            START_LIMIT,
            "replay_node did not begin",
        )
        sent = robot.run_episode.send_goal_async(goal)
        self._until(sent.done, START_LIMIT, "episode_manager did not answer")
        if not sent.result().accepted:
            raise StackBroke("episode_manager rejected the goal.")
        ended = sent.result().get_result_async()
        self._until(
            lambda: len(robot.started) > known or ended.done(), START_LIMIT, "no episode began"
        )
        # The playback waits for these, so that no picture comes before its episode.
        seen = [robot.see(topic) for topic in topics]
        self._until(ended.done, limit + START_LIMIT, "the episode did not end")
        for subscription in seen:
            robot.destroy_subscription(subscription)
        return ended.result().result

    def _readings(self, result: RunEpisode.Result) -> list[RewardStamped]:
        return self._robot.readings.get(result.episode_id, [])

    def _until(self, happens: Callable[[], bool], limit: float, failure: str) -> None:
        end = time.monotonic() + limit
        while not happens():
            self._executor.spin_once(timeout_sec=TICK)
            if exited := self._group.poll():
                raise StackBroke(f"{exited}; see {self._logs / exited.name}.log.")
            if time.monotonic() > end:
                raise StackBroke(f"For {limit:.0f} s {failure}; see {self._logs}.")

    def _arrive(self, happens: Callable[[], bool]) -> None:
        """Lets messages arrive that are under way; what does not come is seen in the table."""
        end = time.monotonic() + MESSAGE_LIMIT
        self._until(lambda: happens() or time.monotonic() > end, 2 * MESSAGE_LIMIT, "nothing came")

    def _linger(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._until(lambda: time.monotonic() > end, START_LIMIT, "time stood still")


@contextmanager
def running(
    rig: Rig, files: Sequence[Path], topics: Sequence[str], model: str, logs: Path
) -> Iterator[StackRun]:
    """Starts the nodes, and stops them in the end.

    Args:
        rig: whose stop actions are offered.
        files: its parameter file, and those below it.
        topics: the rig's cameras that there are.
        model: hub id, checkpoint directory or demo.
        logs: directory of the nodes' output.
    """
    logs.mkdir(parents=True, exist_ok=True)
    # So small a model gains nothing from threads; on a busy machine they await each other.
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")} if model == "demo" else {}
    nodes = {"reward_node": {"model": model, "cameras": list(topics)}, "episode_manager": {}}
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        with ProcessGroup() as group:
            robot = RobotSide(rig, NAMESPACE)
            for name, parameters in nodes.items():
                command = node_command(name, parameters, files=files, namespace=NAMESPACE)
                group.start(name, command, environment=threads, log=logs / f"{name}.log")
            yield StackRun(rig, robot, group, logs)
        robot.destroy_node()
    finally:
        rclpy.try_shutdown()


def replay_command(path: Path, cameras: Sequence[PlayedCamera], rate: float) -> list[str]:
    """Returns the command that plays a recording as soon as its episode has begun.

    Args:
        path: of the recording.
        cameras: which of its topics, and as what.
        rate: seconds of recording per second.
    """
    parameters = {
        "path": str(path),
        "rate": rate,
        "topics": [camera.recorded for camera in cameras],
        "quality": JPEG_QUALITY if any(c.published != c.recorded for c in cameras) else 0,
        "wait_for_subscribers": 2,  # the reward node, and the stand-in
    }
    renamed = [
        argument
        for camera in cameras
        if camera.published != camera.listened
        for argument in ("-r", f"{camera.published}:={camera.listened}")
    ]
    return node_command("replay_node", parameters, extra=renamed)


def problem_of(result: RunEpisode.Result, calls: Sequence[str], expected: Sequence[str]) -> str:
    """Says what went wrong in an episode; empty if nothing.

    Args:
        result: of the action.
        calls: what the robot heard.
        expected: what it was to hear.
    """
    if result.termination_reason not in ENDED_WELL:
        return f"it ended as {result.termination_reason}: {result.detail}"
    if not result.readings or math.isnan(result.log_prob):
        return "there was no reading"
    if list(calls) != list(expected) or not result.stop_actions_done:
        return f"the robot heard {', '.join(calls) or 'nothing'}, not {', '.join(expected)}"
    return ""
