"""A real reward node with a real model, and a test's own node beside it, over real DDS."""

from __future__ import annotations

import itertools
import json
import math
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rclpy
from callback_runner import PATIENCE, CallbackRunner
from checkpoints import write_qwen3_vl
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Bool, Float32, Float64, String
from std_srvs.srv import Trigger

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes import name_claim
from topreward_ros.nodes.messages import latched, time_message
from topreward_ros.nodes.reward.reward_node import RewardNode
from topreward_ros.nodes.spinning import Stop, spin

START = 1_700_000_000.25
"""s, camera time of the first image; not a round number, as in life."""
HEIGHT, WIDTH = 48, 64
TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}
name_claim.GRACE = 0.2
"""s for nodes of this process: nobody else has their names. A node that is a process waits 3 s."""
ASK_AGAIN = 2.0
"""s after which an answer is taken for lost."""
_numbers = itertools.count()


def write_checkpoint(directory: Path, **settings: object) -> Path:
    """Writes a random checkpoint of 64 x 64 px that scores in milliseconds."""
    write_qwen3_vl(directory)
    said = {"frame_size": [64, 64], "motion_threshold": 4.0, **settings}
    (directory / "topreward.json").write_text(json.dumps(said))
    return directory


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def image(stamp: float, seed: int = 0) -> Image:
    pixels = picture(seed)
    message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=WIDTH * 3)
    message.header.stamp = time_message(stamp)
    message.header.frame_id = "lens"
    message.data = array("B", pixels.tobytes())
    return message


class Tester(CallbackRunner):
    """A node that talks to one reward node and keeps all it says."""

    def __init__(self, node_name: str) -> None:
        self._context = Context()  # a participant of its own, as another process has it
        self._context.init()
        self.node = Node(
            f"tester_{next(_numbers)}", context=self._context, use_global_arguments=False
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._name = node_name
        self.readings: list[RewardStamped] = []
        self.progress: list[Float32] = []
        self.rewards: list[Float64] = []
        self.successes: list[bool] = []
        self.events: list[EpisodeEvent] = []
        self.statuses: dict[str, DiagnosticStatus] = {}
        self.subscriptions = [
            self._listen(RewardStamped, "reading", self.readings.append, 100),
            self._listen(Float32, "progress", self.progress.append, 100),
            self._listen(Float64, "reward", self.rewards.append, 100),
            self._listen(Bool, "success", lambda m: self.successes.append(m.data), latched(100)),
            self._listen(EpisodeEvent, "event", self.events.append, latched(100)),
            self.node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnose, 10),
        ]
        self.instructions = self.node.create_publisher(
            String, node_name.rsplit("/", 1)[0] + "/task_instruction", latched()
        )
        self._clients = {}

    def close(self) -> None:
        """Leaves the graph."""
        self._executor.remove_node(self.node)
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.shutdown()

    def call(self, kind: type, service: str, request: object, seconds: float = PATIENCE):
        """Calls a service, of the reward node where no other is named; returns its answer."""
        client = self._client(kind, service)
        self.wait(client.service_is_ready)
        answer = client.call_async(request)
        self.wait(answer.done, seconds)
        return answer.result()

    def insist(self, client: Client, request: object):
        """Calls a service that may be asked twice; returns its answer.

        An answer is lost where the service did not know this client yet.
        """
        self.wait(client.service_is_ready)
        asked, due = [], -math.inf

        def answered() -> bool:
            nonlocal due
            if time.monotonic() > due:
                due = time.monotonic() + ASK_AGAIN
                asked.append(client.call_async(request))
            return any(one.done() for one in asked)

        self.wait(answered)
        return next(one.result() for one in asked if one.done())

    def change(self, transition: str | int) -> bool:
        """Asks for a transition; returns whether it was made."""
        request = ChangeState.Request()
        request.transition.id = TRANSITIONS.get(transition, transition)
        return self.call(ChangeState, "change_state", request, 60.0).success

    def state(self) -> str:
        """Asks for the state."""
        client = self._client(GetState, "get_state")
        return self.insist(client, GetState.Request()).current_state.label

    def reset(self) -> Trigger.Response:
        """Asks for a new start."""
        return self.call(Trigger, "reset", Trigger.Request())

    def set(self, **values: object) -> list[str]:
        """Sets parameters; returns the reasons of those that were refused."""
        return self.set_of(self._name, **values)

    def set_of(self, node: str, **values: object) -> list[str]:
        """Sets a node's parameters; returns the reasons of those that were refused."""
        request = SetParameters.Request(
            parameters=[
                Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
            ]
        )
        results = self.call(SetParameters, f"{node}/set_parameters", request).results
        return [result.reason for result in results if not result.successful]

    def named(self, event: str) -> list[EpisodeEvent]:
        """Returns the events of a kind, in order."""
        return [message for message in self.events if message.event == event]

    def status(self, part: str) -> DiagnosticStatus | None:
        """The newest status whose name ends so."""
        return next((s for name, s in self.statuses.items() if name.endswith(part)), None)

    def values(self, part: str) -> dict[str, str]:
        """Returns the values of that status; none where it has not been told yet."""
        status = self.status(part)
        return {item.key: item.value for item in status.values} if status else {}

    def _client(self, kind: type, service: str) -> Client:
        name = service if service.startswith("/") else f"{self._name}/{service}"
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
        return self._clients[name]

    def _listen(self, kind: type, topic: str, callback: Callable, qos: object):
        return self.node.create_subscription(kind, f"{self._name}/{topic}", callback, qos)

    def _diagnose(self, message: DiagnosticArray) -> None:
        mine = [s for s in message.status if s.name.startswith(self._name.lstrip("/") + ":")]
        if mine:
            self.statuses = {status.name: status for status in mine}


class Stack(Tester):
    """A reward node on a thread of its own, cameras, and a tester; call only from one thread."""

    def __init__(
        self,
        model: Path | str,
        cameras: int = 1,
        qos: dict[str, str] | None = None,
        **parameters: object,
    ) -> None:
        namespace = f"/t{next(_numbers)}"
        self.topics = [f"{namespace}/camera_{index}" for index in range(cameras)]
        for policy, value in (qos or {}).items():
            for topic in self.topics:
                parameters[f"qos_overrides.{topic}.subscription.{policy}"] = value
        given = {
            "model": str(model),
            "device": "cpu",
            "cameras": self.topics or ["/none"],
            **parameters,
        }
        overrides = [Parameter(name, value=value) for name, value in given.items()]
        self.reward_node = RewardNode(
            namespace=namespace, parameter_overrides=overrides, use_global_arguments=False
        )
        super().__init__(f"{namespace}/reward_node")
        self.cameras = [self.camera(topic) for topic in self.topics]
        self._stop = Stop()
        self._thread = threading.Thread(target=spin, args=(self.reward_node, self._stop))
        self._thread.start()

    def camera(self, topic: str, kind: type = Image):
        """Advertises images of a type."""
        return self.node.create_publisher(kind, topic, 10)

    def up(self, instruction: str = "put the red cube on the disc") -> None:
        """Configures and activates, with everything matched."""
        if instruction:
            self.reward_node.runner.instruction or self.set(instruction=instruction)
        assert self.change("configure")
        self.match()
        assert self.change("activate")

    def go(self) -> None:
        """Configures and activates, whatever the cameras do."""
        assert self.change("configure") and self.change("activate")

    def match(self) -> None:
        """Waits until cameras and outputs are matched."""
        self.wait(
            lambda: (
                all(camera.get_subscription_count() for camera in self.cameras)
                and all(s.get_publisher_count() for s in self.subscriptions)
            )
        )

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Keeps the scoring thread from scoring, as a slow model would."""
        go_on = threading.Event()
        self.reward_node.scoring._call(go_on.wait)
        try:
            yield
        finally:
            go_on.set()

    def show(self, index: int, camera: int = 0) -> None:
        """Publishes the frame of half-second `index`."""
        self.cameras[camera].publish(image(START + index / 2, seed=index))

    def received(self) -> int:
        """Images that have reached the node since it was configured."""
        watch = self.reward_node.runner.equipment.watch
        return sum(camera.received for camera in watch.cameras.values())

    def play(self, first: int, last: int) -> list[RewardStamped]:
        """Shows frames one after the other, each when the one before is scored."""
        before = len(self.readings)
        for number, index in enumerate(range(first, last + 1), start=1):
            self.show(index)
            self.wait(lambda n=number: len(self.readings) >= before + n)
        return self.readings[before:]

    def close(self) -> None:
        """Ends the reward node as a signal would, then the tester."""
        self._stop.ask()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        assert self.reward_node.end()
        super().close()


@contextmanager
def ros() -> Iterator[None]:
    rclpy.init()
    try:
        yield
    finally:
        rclpy.shutdown()


@contextmanager
def stack(model: Path | str, **parameters: object) -> Iterator[Stack]:
    made = Stack(model, **parameters)
    try:
        yield made
    finally:
        made.close()


__all__ = ["CompressedImage", "Stack", "Tester", "image", "picture", "ros", "stack"]
