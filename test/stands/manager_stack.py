"""A real manager over a real reward node, cameras that run, and a robot's side, over real DDS."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.service import Service
from reward_stack import PATIENCE, START, Stack, Tester, image
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from topreward_msgs.action import RunEpisode
from topreward_msgs.msg import EpisodeEvent
from topreward_msgs.srv import StartEpisode, StopEpisode
from topreward_ros.nodes.manager.episode_manager import EpisodeManager
from topreward_ros.nodes.messages import latched
from topreward_ros.nodes.spinning import Stop, spin

TASK = "put the red cube on the disc"
ALWAYS = -1000.0
"""nat; a threshold that every log-prob exceeds: success after hold and minimum duration."""
NEVER = float("nan")
"""No threshold: success is never claimed."""
_numbers = itertools.count()


class Film(threading.Thread):
    """Cameras that run: pictures of `step` s of camera time every `period` s.

    Attributes:
        silent: topics that publish nothing.
        frozen: topics that publish the same picture with the same stamp.
        still: topics that publish the same picture with new stamps.
        period: s between two pictures.
        step: s of camera time from one to the next.
        offset: s that is added to the camera time; set it lower and time goes back.
    """

    def __init__(self, publishers, *, period: float = 0.03, step: float = 0.25) -> None:
        super().__init__(daemon=True)
        self.silent: set[str] = set()
        self.frozen: dict[str, float] = {}
        self.still: set[str] = set()
        self.offset = 0.0
        self.now = START
        self.publishers = publishers
        self.period = period
        self.step = step
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        """Publishes until it is stopped."""
        for index in itertools.count(1):
            if self._over.wait(self.period):
                return
            self.now += self.step
            for publisher in self.publishers:
                topic = publisher.topic_name
                if topic not in self.silent:
                    stamp = self.frozen.get(topic, self.now + self.offset)
                    # Each another: of a few in turn, a busy machine may take one twice running.
                    seed = 0 if topic in self.still else index
                    publisher.publish(image(stamp, seed=seed))

    def freeze(self, topic: str) -> None:
        """Lets a camera repeat the newest picture with its stamp."""
        self.frozen[topic] = self.now + self.offset

    def stop(self) -> None:
        """Ends the film."""
        self._over.set()
        self.join()


class Robot:
    """The robot's side: services and topics that end its episode."""

    def __init__(self, tester: Tester) -> None:
        self.calls: list[tuple[str, object]] = []
        self.refusals = 0
        """How many calls are refused before one is taken."""
        self._node = tester.node
        self._waiting = []

    def trigger(self, name: str) -> Service:
        """Offers a Trigger service."""

        def serve(_, response):
            return self._answer(name, None, response)

        return self._node.create_service(Trigger, name, serve)

    @contextmanager
    def offering(self, name: str) -> Iterator[None]:
        """Offers a Trigger service for a while."""
        service = self.trigger(name)
        try:
            yield
        finally:
            self._node.destroy_service(service)

    def set_bool(self, name: str) -> None:
        """Offers a SetBool service."""

        def serve(request, response):
            return self._answer(name, request.data, response)

        self._node.create_service(SetBool, name, serve)

    def listen(self, name: str) -> None:
        """Subscribes a String topic."""
        self._node.create_subscription(
            String, name, lambda message: self.calls.append((name, message.data)), 10
        )

    def _answer(self, name: str, data: object, response):
        self.calls.append((name, data))
        response.success = self.refusals <= 0
        response.message = "not now"
        self.refusals -= 1
        return response


class ManagerSide:
    """What a tester sees of a manager, and asks it. `node`, `wait`, `linger` come from a Tester."""

    def manage(self, name: str) -> None:
        """Makes subscriptions and clients of a manager."""
        self.manager_name = name
        self.told: list[EpisodeEvent] = []
        self.done_flags: list[bool] = []
        self.truncated_flags: list[bool] = []
        self.told_by = self.node.create_subscription(
            EpisodeEvent, f"{name}/episode_event", self.told.append, latched(100)
        )
        flags = {"done": self.done_flags, "truncated": self.truncated_flags}
        for flag, told in flags.items():
            self.node.create_subscription(
                Bool,
                f"{name}/episode_{flag}",
                lambda m, told=told: told.append(m.data),
                latched(100),
            )
        self.action = ActionClient(self.node, RunEpisode, f"{name}/run_episode")
        self.feedback = []
        self._services = {
            kind: self.node.create_client(kind, f"{name}/{service}")
            for kind, service in (
                (StartEpisode, "start_episode"),
                (StopEpisode, "stop_episode"),
                (Trigger, "reset"),
            )
        }

    def ask(self, kind: type, **fields: object):
        """Calls a service of the manager."""
        client = self._services[kind]
        self.wait(client.service_is_ready)
        answer = client.call_async(kind.Request(**fields))
        self.wait(answer.done)
        return answer.result()

    def begin(self, instruction: str = TASK, time_limit: float = 0.0, min_duration: float = -1.0):
        """Starts an episode by the service."""
        return self.ask(
            StartEpisode,
            instruction=instruction,
            time_limit=float(time_limit),
            min_duration=float(min_duration),
        )

    def stop_it(self, outcome: str = "", run_stop_actions: bool = False, detail: str = ""):
        """Stops the episode by the service."""
        return self.ask(
            StopEpisode, outcome=outcome, run_stop_actions=run_stop_actions, detail=detail
        )

    def goal(self, instruction: str = TASK, time_limit: float = 0.0, min_duration: float = -1.0):
        """Sends a goal; returns its handle."""
        self.wait(self.action.server_is_ready)
        sent = self.action.send_goal_async(
            RunEpisode.Goal(
                instruction=instruction,
                time_limit=float(time_limit),
                min_duration=float(min_duration),
            ),
            feedback_callback=lambda message: self.feedback.append(message.feedback.reading),
        )
        self.wait(sent.done)
        return sent.result()

    def result(self, handle, seconds: float = PATIENCE):
        """Returns status and result of a goal."""
        answer = handle.get_result_async()
        self.wait(answer.done, seconds)
        return answer.result().status, answer.result().result

    def run_one(self, **goal: object):
        """Runs a goal to its end."""
        return self.result(self.goal(**goal))

    def cancel(self, handle) -> None:
        """Cancels a goal."""
        answer = handle.cancel_goal_async()
        self.wait(answer.done)
        assert answer.result().goals_canceling

    def happened(self, event: str, episode_id: str = "") -> list[EpisodeEvent]:
        """Returns the events of a kind, of one episode or all."""
        return [
            message
            for message in self.told
            if message.event == event and episode_id in ("", message.episode_id)
        ]

    def await_event(self, event: str, episode_id: str = "", count: int = 1) -> EpisodeEvent:
        """Waits for the count-th event of a kind."""
        self.wait(lambda: len(self.happened(event, episode_id)) >= count)
        return self.happened(event, episode_id)[count - 1]

    def stories(self) -> dict[str, list[str]]:
        """By episode, the names of its events in order."""
        stories: dict[str, list[str]] = {}
        for message in self.told:
            stories.setdefault(message.episode_id, []).append(message.event)
        return stories


class ManagedStack(ManagerSide, Stack):
    """A reward node and a manager on threads of their own; call only from one thread."""

    def __init__(
        self,
        model: Path | str,
        *,
        cameras: int = 1,
        manager: dict[str, object] | None = None,
        film: dict[str, float] | None = None,
        **parameters: object,
    ) -> None:
        Stack.__init__(self, model, cameras, **parameters)
        self.film = Film(self.cameras, **(film or {}))
        self.robot = Robot(self)
        self._manager_parameters = manager or {}
        namespace = self._name.rsplit("/", 1)[0]
        self._namespace = namespace
        self.manage(f"{namespace}/episode_manager")

    def start_manager(self) -> EpisodeManager:
        """Starts a manager on a thread."""
        given = {"node_timeout": 5.0, **self._manager_parameters}
        overrides = [Parameter(name, value=value) for name, value in given.items()]
        self.manager = EpisodeManager(
            namespace=self._namespace, parameter_overrides=overrides, use_global_arguments=False
        )
        self._manager_stop = Stop()
        self._manager_thread = threading.Thread(
            target=spin, args=(self.manager, self._manager_stop, EpisodeManager.finish)
        )
        self._manager_thread.start()
        self.wait(lambda: self.told_by.get_publisher_count())
        return self.manager

    def end_manager(self) -> None:
        """Ends it as a signal would."""
        self._manager_stop.ask()
        end = time.monotonic() + PATIENCE
        while self._manager_thread.is_alive():  # its last words need answers
            assert time.monotonic() < end
            self.linger(0.02)
        self.manager.destroy_node()

    def ready(self) -> None:
        """Waits until the manager has brought the reward node up."""
        self.wait(lambda: self.manager.client.up)

    def tune(self, **values: object) -> None:
        """Sets parameters of the manager."""
        results = self.manager.set_parameters([Parameter(n, value=v) for n, v in values.items()])
        assert all(result.successful for result in results), results

    def close(self) -> None:
        """Ends everything."""
        self.film.stop()
        if self._manager_thread.is_alive():
            self.end_manager()
        Stack.close(self)


@contextmanager
def managed(model: Path | str, up: bool = True, **settings: object) -> Iterator[ManagedStack]:
    stack = ManagedStack(model, **settings)
    stack.start_manager()
    try:
        if up:
            stack.ready()
        yield stack
    finally:
        stack.close()


@contextmanager
def hanging_trigger(name: str) -> Iterator[list[float]]:
    """A Trigger service that does not answer for as long; yields when it was called."""
    release, calls = threading.Event(), []

    def serve(_, response):
        calls.append(time.monotonic())
        release.wait()
        return response

    def run() -> None:
        context = Context()  # of its own: it is blocked, and nothing else must be
        context.init()
        node = Node("hanging", context=context, use_global_arguments=False)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        node.create_service(Trigger, name, serve)
        while not release.is_set():
            executor.spin_once(timeout_sec=0.05)
        executor.shutdown()
        node.destroy_node()
        context.shutdown()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield calls
    finally:
        release.set()
        thread.join()


def succeeded(status: int) -> bool:
    return status == GoalStatus.STATUS_SUCCEEDED


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)
