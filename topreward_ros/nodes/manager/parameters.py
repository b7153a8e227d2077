"""The parameters of `episode_manager`, and those of each of its stop actions.

A value that cannot be is refused at the start: a manager that runs without the stop action somebody
meant would be worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.nodes.parameters import (
    ParameterError,
    declare,
    frozen,
    parameter,
    refusal,
)

REASONS = tuple(
    getattr(EpisodeEvent, name)
    for name in sorted(dir(EpisodeEvent))
    if name.startswith("REASON_") and name != "REASON_CAMERA_CONFLICT"  # a fault, and never an end
)
"""Every reason for which an episode can end."""
STALLS = (
    EpisodeEvent.REASON_STALLED,
    EpisodeEvent.REASON_STANDSTILL,
    EpisodeEvent.REASON_REGRESSED,
)
"""Faults of progress, for which an episode ends only where `end_on` names them."""


def _end_on(value: tuple[str, ...]) -> str | None:
    if set(value) <= {"", *STALLS}:
        return None
    return f'reasons among {", ".join(STALLS)}, or [""] for none'


@dataclass(frozen=True)
class ManagerParameters:
    """A snapshot of all parameters; the descriptions are in the fields' metadata."""

    reward_node: str = parameter(
        "reward_node", "Name of the reward node; relative: in this namespace."
    )
    manage_lifecycle: bool = parameter(
        True,
        "Configure the reward node, activate it for each episode and deactivate it after. false: "
        "something else does, and episodes are started by resets while it is active.",
    )
    adopt_episodes: bool = parameter(
        True, "Watch over episodes too that the reward node starts by itself."
    )
    on_second_goal: str = parameter(
        "preempt",
        "A goal that comes while an episode runs ends it, or is refused.",
        choices=("preempt", "refuse"),
        fixed=False,
    )
    bringup_timeout: float = parameter(
        600.0, "s that the reward node may take to load its model.", limits=(0.1, 86400.0)
    )
    node_timeout: float = parameter(
        5.0,
        "s without an answer after which the reward node counts as dead.",
        limits=(0.2, 3600.0),
        fixed=False,
    )
    time_limit: float = parameter(
        300.0,
        "s after which an episode that was asked for, or was taken over, ends, by the camera's or "
        "the steady clock, whichever is first.",
        limits=(0.05, 86400.0),
        fixed=False,
    )
    min_duration: float = parameter(
        0.0,
        "s of camera time before which success does not end an episode; on top of the reward "
        "node's success_min_duration.",
        limits=(0.0, 86400.0),
        fixed=False,
    )
    camera_patience: float = parameter(
        3.0,
        "s that a lost camera may take to come back, counted from the reward node's report.",
        limits=(0.0, 3600.0),
        fixed=False,
    )
    end_on: tuple[str, ...] = parameter(
        ("",),
        "Which of stalled, standstill and regressed end an episode as soon as the reward node "
        "tells of them; it is unlabelled then.",
        check=_end_on,
        fixed=False,
    )
    owed_patience: float = parameter(
        600.0,
        "s after an episode's end within which stop actions that were cut off, because this "
        "manager was killed, are run when it is started anew; later ones are only reported.",
        limits=(0.0, 604800.0),
    )
    stop_actions: tuple[str, ...] = parameter(
        ("",), "Names of the stop actions, in the order of their running."
    )
    allow_emergency_stop: bool = parameter(
        False, "Let stop actions use what is named like an emergency stop."
    )


@dataclass(frozen=True)
class StopActionSettings:
    """One stop action, parameters `<name>.<field>`."""

    type: str = parameter(
        "",
        "Kind of the action.",
        choices=("trigger", "set_bool", "string", "lifecycle", "controller_switch"),
    )
    target: str = parameter("", "Service, topic, lifecycle node or controller manager.")
    data: bool = parameter(True, "What set_bool sends.")
    values: tuple[str, ...] = parameter(
        ("",),
        "string: texts to publish in this order; lifecycle: transitions to make in this order; "
        "controller_switch: controllers to deactivate.",
    )
    activate: tuple[str, ...] = parameter(("",), "controller_switch: controllers to activate.")
    timeout: float = parameter(
        2.0,
        "s that one attempt may take; a late answer counts for the next one.",
        limits=(0.05, 600.0),
    )
    retries: int = parameter(2, "Further attempts after one that failed.", limits=(0, 100))
    when: tuple[str, ...] = parameter(
        ("success", "timeout", "failure"),
        "Reasons for an episode's end with which the action runs.",
    )


class ManagerSettings:
    """The parameters on a node."""

    def __init__(self, node: Node) -> None:
        """Declares all of them.

        Args:
            node: takes them.

        Raises:
            ParameterError: a value is of another type, out of range or not allowed.
        """
        self._node = node
        self._rules = {rule.name: rule for rule in fields(ManagerParameters)}
        first = declare(node, ManagerParameters, empty_is_default=True)
        self.actions: dict[str, StopActionSettings] = {}
        """The stop actions by name, in their order."""
        for name in filled(first.stop_actions):
            self.actions[name] = self._action(name)
        self._warn_of_unknown()
        node.add_on_set_parameters_callback(self._refuse)

    def read(self) -> ManagerParameters:
        """Returns the values of now."""
        return ManagerParameters(
            **{name: frozen(self._node.get_parameter(name).value) for name in self._rules}
        )

    def _action(self, name: str) -> StopActionSettings:
        if not re.fullmatch(r"[A-Za-z]\w*", name) or name in self._rules or name in self.actions:
            raise ParameterError(
                f"stop_actions names {name!r}; expected names of letters, digits and underscores, "
                "each once and none that a parameter of the manager has."
            )
        settings = declare(self._node, StopActionSettings, prefix=f"{name}.", empty_is_default=True)
        if unknown := [reason for reason in settings.when if reason not in REASONS]:
            raise ParameterError(
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
        for given in parameters:
            rule = self._rules.get(given.name)
            problem = rule and refusal(rule, given.name, given.value)
            if problem:
                return SetParametersResult(successful=False, reason=problem)
        return SetParametersResult(successful=True)


def filled(texts: Sequence[str]) -> list[str]:
    """Returns the texts that are not empty: YAML has no typed empty list, [""] stands for it."""
    return [text for text in texts if text]
