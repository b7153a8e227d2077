"""What stops a robot's episode: services, topics, lifecycle transitions, controllers.

An emergency stop is no way to end an episode: what is named like one is refused unless it is
explicitly allowed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from topreward_ros.nodes.lifecycle_client import GOALS, LifecycleClient
from topreward_ros.nodes.manager.emergency_names import is_emergency_stop
from topreward_ros.nodes.manager.parameters import StopActionSettings, filled
from topreward_ros.nodes.manager.patient_call import PatientCall
from topreward_ros.nodes.parameters import ParameterError
from topreward_ros.nodes.waiting import Waiting

RETRY_PAUSE = 0.1
"""s between two attempts."""
GAP = 0.1
"""s between two texts on a topic."""
LISTING = 0.5
"""s for a controller manager to say what is active; without it everything is asked for."""
Attempt = Callable[[], Awaitable[str]]
"""Tries once; returns "" or one clause on what went wrong."""
Run = Callable[[], Attempt]
"""Begins a run: its attempts know of each other, and of no earlier run's."""


@dataclass(frozen=True)
class StopResult:
    """How a stop action ended.

    Attributes:
        name: of the action.
        done: whether it succeeded.
        detail: one sentence.
    """

    name: str
    done: bool
    detail: str


@dataclass(frozen=True)
class StopAction:
    """A stop action that is ready to run.

    Attributes:
        name: as in the parameter `stop_actions`.
        settings: its parameters.
        begin: makes the attempts of one run.
    """

    name: str
    settings: StopActionSettings
    begin: Run

    async def run(self, waiting: Waiting) -> StopResult:
        """Tries until it succeeds or the retries are used up."""
        what = f"{self.name} ({self.settings.type} {self.settings.target})"
        problems: list[str] = []
        started = waiting.now()
        attempt = self.begin()
        for number in range(self.settings.retries + 1):
            if number:
                await waiting.pause(RETRY_PAUSE)
            try:
                problem = await attempt()
            except Exception as error:
                problem = f"it raised {error!r}"
            if not problem:
                took = waiting.now() - started
                return StopResult(
                    self.name, True, f"{what} is done, attempt {number + 1}, after {took:.2f} s."
                )
            problems.append(problem)
        return StopResult(
            self.name, False, f"{what} FAILED after {len(problems)} attempt(s): {problems[-1]}."
        )


class StopActions:
    """The configured stop actions, with everything they need made at the start."""

    def __init__(
        self,
        node: Node,
        settings: Mapping[str, StopActionSettings],
        *,
        waiting: Waiting,
        group: CallbackGroup,
        allow_emergency_stop: bool = False,
    ) -> None:
        """Makes clients and publishers, so that their partners are known when it counts.

        Args:
            node: which acts.
            settings: by name, in the order of their running.
            waiting: waits.
            group: a reentrant callback group.
            allow_emergency_stop: whether what is named like one may be used.

        Raises:
            ParameterError: an action cannot be, or must not.
        """
        self._node = node
        self._waiting = waiting
        self._group = group
        self._allow = allow_emergency_stop
        self.actions = [self._make(name, its) for name, its in settings.items()]

    def due(self, reason: str) -> list[StopAction]:
        """Returns the actions that run when an episode ends for this reason."""
        return [action for action in self.actions if reason in action.settings.when]

    def named(self, name: str) -> StopAction | None:
        """Returns an action by its name, None if there is none."""
        return next((action for action in self.actions if action.name == name), None)

    def _make(self, name: str, settings: StopActionSettings) -> StopAction:
        if not settings.target:
            raise ParameterError(
                f"{name}.target is empty; expected what the {settings.type} goes to."
            )
        self._check(name, settings)
        make = {
            "trigger": self._trigger,
            "set_bool": self._set_bool,
            "string": self._string,
            "lifecycle": self._lifecycle,
            "controller_switch": self._controller_switch,
        }[settings.type]
        return StopAction(name, settings, make(name, settings))

    def _check(self, name: str, settings: StopActionSettings) -> None:
        target = settings.target
        try:
            resolved = [self._node.resolve_service_name(target)]
            resolved.append(self._node.resolve_topic_name(target))
        except Exception as error:
            raise ParameterError(
                f"{name}.target is {target!r}; expected a ROS name. {error}"
            ) from None
        given = {"target": [target, *resolved], "values": [], "activate": []}
        if settings.type in ("string", "controller_switch"):
            given["values"] = filled(settings.values)
        if settings.type == "controller_switch":
            given["activate"] = filled(settings.activate)
        for field, texts in given.items():
            for one in texts:
                if is_emergency_stop(one) and not self._allow:
                    raise ParameterError(
                        f"{name}.{field} is {one!r}, which is named like an emergency stop; an "
                        "episode must not end by one. Name what ends an episode, or set "
                        "allow_emergency_stop if this is meant."
                    )

    def _trigger(self, _: str, settings: StopActionSettings) -> Run:
        return self._service(Trigger, Trigger.Request(), settings)

    def _set_bool(self, _: str, settings: StopActionSettings) -> Run:
        return self._service(SetBool, SetBool.Request(data=settings.data), settings)

    def _service(self, kind: type, request: Any, settings: StopActionSettings) -> Run:
        client = self._node.create_client(kind, settings.target, callback_group=self._group)
        call = PatientCall(client, request, self._waiting)

        def begin() -> Attempt:
            call.forget()
            return attempt

        async def attempt() -> str:
            answer = await call.answer(settings.timeout)
            if answer is not None:
                return "" if answer.success else f"it was refused: {answer.message!r}"
            if client.service_is_ready():
                return f"the service did not answer within {settings.timeout:g} s"
            return f"the service was not there within {settings.timeout:g} s"

        return begin

    def _string(self, name: str, settings: StopActionSettings) -> Run:
        texts = filled(settings.values)
        if not texts:
            raise ParameterError(f"{name}.values is empty; expected texts to publish.")
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        publisher = self._node.create_publisher(String, settings.target, reliable)

        async def attempt() -> str:
            end = self._waiting.now() + settings.timeout
            while not publisher.get_subscription_count():
                if self._waiting.now() >= end:
                    return f"nobody listened to the topic within {settings.timeout:g} s"
                await self._waiting.pause(0.02)
            for number, text in enumerate(texts):
                if number:
                    await self._waiting.pause(GAP)
                publisher.publish(String(data=text))
            return ""

        return lambda: attempt

    def _lifecycle(self, name: str, settings: StopActionSettings) -> Run:
        labels = filled(settings.values) or ["deactivate"]
        if unknown := [label for label in labels if label not in GOALS]:
            raise ParameterError(
                f"{name}.values is {unknown}; expected transitions among {', '.join(GOALS)}."
            )
        target = self._node.resolve_service_name(settings.target)
        client = LifecycleClient(self._node, target, waiting=self._waiting, group=self._group)

        def begin() -> Attempt:
            remaining = list(labels)

            async def attempt() -> str:
                # Of several transitions the last one's goal may also be where the first one starts.
                if len(labels) == 1 and await client.ask(settings.timeout) == GOALS[labels[0]]:
                    return ""
                while remaining:
                    change = await client.change(remaining[0], settings.timeout)
                    if not change.done:
                        return change.message.rstrip(".")
                    del remaining[0]
                return ""

            return attempt

        return begin

    def _controller_switch(self, name: str, settings: StopActionSettings) -> Run:
        try:
            from controller_manager_msgs.srv import ListControllers, SwitchController
        except ImportError:
            raise ParameterError(
                f"{name}.type is controller_switch, and controller_manager_msgs cannot be "
                "imported; install ros-<distro>-controller-manager-msgs, or take another type."
            ) from None
        stop, start = filled(settings.values), filled(settings.activate)
        if not stop and not start:
            raise ParameterError(
                f"{name}.values and {name}.activate are empty; expected controllers to switch."
            )
        manager = settings.target.rstrip("/")
        service = f"{manager}/switch_controller"
        make = partial(self._node.create_client, callback_group=self._group)
        client = make(SwitchController, service)
        listing = make(ListControllers, f"{manager}/list_controllers")

        request = SwitchController.Request(strictness=SwitchController.Request.STRICT)
        call = PatientCall(client, request, self._waiting)

        def begin() -> Attempt:
            call.forget()
            return attempt

        async def attempt() -> str:
            # What is switched already, by a former attempt for one, STRICT would refuse.
            listed = await self._waiting.answer(listing, ListControllers.Request(), LISTING)
            states = {} if listed is None else {c.name: c.state for c in listed.controller}
            request.deactivate_controllers = [
                c for c in stop if states.get(c, "active") == "active"
            ]
            request.activate_controllers = [c for c in start if states.get(c) != "active"]
            if not request.deactivate_controllers and not request.activate_controllers:
                return ""
            answer = await call.answer(settings.timeout)
            if answer is None:
                return f"{service} did not answer within {settings.timeout:g} s"
            return "" if answer.ok else "the controller manager refused"

        return begin
