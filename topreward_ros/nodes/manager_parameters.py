"""The parameters of `episode_manager`, and those of each of its stop actions.

A value that cannot be is refused at the start: a manager that runs without the stop action somebody
meant would be worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter

from topreward_msgs.msg import EpisodeEvent

REASONS = tuple(
    getattr(EpisodeEvent, name) for name in sorted(dir(EpisodeEvent)) if name.startswith("REASON_")
)
"""Every reason for which an episode can end."""
Settings = TypeVar("Settings")


class ManagerParameterError(ValueError):
    """A parameter with a value that is not allowed; the sentence names both."""


def _is(
    default: Any,
    description: str,
    *,
    choices: Sequence[str] = (),
    limits: tuple[float, float] | None = None,
    fixed: bool = True,
) -> Any:
    metadata = {
        "description": description,
        "choices": tuple(choices),
        "limits": limits,
        "fixed": fixed,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ManagerParameters:
    """A snapshot of all parameters; the descriptions are in the fields' metadata."""

    reward_node: str = _is("reward_node", "Name of the reward node; relative: in this namespace.")
    manage_lifecycle: bool = _is(
        True,
        "Configure the reward node, activate it for each episode and deactivate it after. false: "
        "something else does, and episodes are started by resets while it is active.",
    )
    adopt_episodes: bool = _is(
        True, "Watch over episodes too that the reward node starts by itself."
    )
    on_second_goal: str = _is(
        "preempt",
        "A goal that comes while an episode runs ends it, or is refused.",
        choices=("preempt", "refuse"),
        fixed=False,
    )
    bringup_timeout: float = _is(
        600.0, "s that the reward node may take to load its model.", limits=(0.1, 86400.0)
    )
    node_timeout: float = _is(
        5.0,
        "s without an answer after which the reward node counts as dead.",
        limits=(0.2, 3600.0),
        fixed=False,
    )
    time_limit: float = _is(
        300.0,
        "s after which an episode that was asked for, or was taken over, ends, by the camera's or "
        "the steady clock, whichever is first.",
        limits=(0.05, 86400.0),
        fixed=False,
    )
    min_duration: float = _is(
        0.0,
        "s of camera time before which success does not end an episode; on top of the reward "
        "node's success_min_duration.",
        limits=(0.0, 86400.0),
        fixed=False,
    )
    camera_patience: float = _is(
        3.0,
        "s that a lost camera may take to come back, counted from the reward node's report.",
        limits=(0.0, 3600.0),
        fixed=False,
    )
    stop_actions: tuple[str, ...] = _is(
        ("",), "Names of the stop actions, in the order of their running."
    )
    allow_emergency_stop: bool = _is(
        False, "Let stop actions use what is named like an emergency stop."
    )


@dataclass(frozen=True)
class StopActionSettings:
    """One stop action, parameters `<name>.<field>`."""

    type: str = _is(
        "",
        "Kind of the action.",
        choices=("trigger", "set_bool", "string", "lifecycle", "controller_switch"),
    )
    target: str = _is("", "Service, topic, lifecycle node or controller manager.")
    data: bool = _is(True, "What set_bool sends.")
    values: tuple[str, ...] = _is(
        ("",),
        "string: texts to publish in this order; lifecycle: transitions to make in this order; "
        "controller_switch: controllers to deactivate.",
    )
    activate: tuple[str, ...] = _is(("",), "controller_switch: controllers to activate.")
    timeout: float = _is(
        2.0,
        "s that one attempt may take; a late answer counts for the next one.",
        limits=(0.05, 600.0),
    )
    retries: int = _is(2, "Further attempts after one that failed.", limits=(0, 100))
    when: tuple[str, ...] = _is(
        ("success", "timeout"), "Reasons for an episode's end with which the action runs."
    )


class ManagerSettings:
    """The parameters on a node."""

    def __init__(self, node: Node) -> None:
        """Declares all of them.

        Args:
            node: takes them.

        Raises:
            ManagerParameterError: a value is of another type, out of range or not allowed.
        """
        self._node = node
        self._rules = {rule.name: rule for rule in fields(ManagerParameters)}
        first = _declare(node, ManagerParameters)
        self.actions: dict[str, StopActionSettings] = {}
        """The stop actions by name, in their order."""
        for name in filled(first.stop_actions):
            self.actions[name] = self._action(name)
        self._warn_of_unknown()
        node.add_on_set_parameters_callback(self._refuse)

    def read(self) -> ManagerParameters:
        """Returns the values of now."""
        return ManagerParameters(
            **{name: _frozen(self._node.get_parameter(name).value) for name in self._rules}
        )

    def _action(self, name: str) -> StopActionSettings:
        if not re.fullmatch(r"[A-Za-z]\w*", name) or name in self._rules or name in self.actions:
            raise ManagerParameterError(
                f"stop_actions names {name!r}; expected names of letters, digits and underscores, "
                "each once and none that a parameter of the manager has."
            )
        settings = _declare(self._node, StopActionSettings, f"{name}.")
        if unknown := [reason for reason in settings.when if reason not in REASONS]:
            raise ManagerParameterError(
                f"{name}.when names {', '.join(map(repr, unknown))}; expected reasons among "
                f"{', '.join(REASONS)}."
            )
        return settings

    def _warn_of_unknown(self) -> None:
        """Tells of names that were given and that nothing reads, misspelt ones mostly."""
        given: Mapping[str, Any] = getattr(self._node, "_parameter_overrides", {})
        for name in sorted(given):
            if not self._node.has_parameter(name) and not name.startswith("qos_overrides."):
                self._node.get_logger().warning(f"The parameter {name} does not exist; ignored.")

    def _refuse(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            rule = self._rules.get(parameter.name)
            problem = rule and _problem(rule, parameter.name, _frozen(parameter.value))
            if problem:
                return SetParametersResult(successful=False, reason=problem)
        return SetParametersResult(successful=True)


def filled(texts: Sequence[str]) -> list[str]:
    """Returns the texts that are not empty: YAML has no typed empty list, [""] stands for it."""
    return [text for text in texts if text]


def _declare(node: Node, kind: type[Settings], prefix: str = "") -> Settings:
    return kind(**{rule.name: _declare_one(node, rule, prefix) for rule in fields(kind)})


def _declare_one(node: Node, rule: Any, prefix: str) -> Any:
    name = f"{prefix}{rule.name}"
    default = list(rule.default) if isinstance(rule.default, tuple) else rule.default
    # Of any type first, so that a wrong one gets this package's sentence.
    node.declare_parameter(name, default, ParameterDescriptor(dynamic_typing=True))
    try:
        value = _frozen(node.get_parameter(name).value)
    except ParameterNotDeclaredException:
        value = None
    node.undeclare_parameter(name)
    if isinstance(rule.default, float) and type(value) is int:
        value = float(value)  # 2 for 2.0 is how people write it
    if value is None or value == ():
        value = rule.default
    problem = _problem(rule, name, value)
    if problem:
        raise ManagerParameterError(problem)
    given = list(value) if isinstance(value, tuple) else value
    node.declare_parameter(name, given, _descriptor(rule), ignore_override=True)
    return value


def _problem(rule: Any, name: str, value: Any) -> str | None:
    choices, limits = rule.metadata["choices"], rule.metadata["limits"]
    expected = None
    if type(value) is not type(rule.default):
        expected = "a list of texts" if isinstance(rule.default, tuple) else rule.type
    elif isinstance(value, tuple) and not all(isinstance(text, str) for text in value):
        expected = "a list of texts"
    elif choices and value not in choices:
        expected = " or ".join(choices)
    elif limits and not limits[0] <= value <= limits[1]:
        expected = f"{limits[0]:g} to {limits[1]:g}"
    if expected is None:
        return None
    return f"{name} is {value!r}; expected {expected}: {rule.metadata['description']}"


def _descriptor(rule: Any) -> ParameterDescriptor:
    limits = rule.metadata["limits"]
    descriptor = ParameterDescriptor(
        description=rule.metadata["description"],
        additional_constraints=" or ".join(rule.metadata["choices"]),
        read_only=rule.metadata["fixed"],
    )
    if limits and isinstance(rule.default, int):
        descriptor.integer_range = [IntegerRange(from_value=limits[0], to_value=limits[1])]
    elif limits:
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=limits[0], to_value=limits[1])
        ]
    return descriptor


def _frozen(value: Any) -> Any:
    is_array = hasattr(value, "__len__") and not isinstance(value, (str, bytes))
    return tuple(value) if is_array else value
