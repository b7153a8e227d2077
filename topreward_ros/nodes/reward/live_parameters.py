"""The reward node's parameters while it runs: declared, refused with a sentence.

A bad value at the start does not end the process: the default stands in, and `configure` refuses
with the sentence until the parameter is set right. A bad value later is refused when it is set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from topreward_ros.nodes.parameters import (
    ParameterError,
    descriptor,
    frozen,
    given_value,
    plain,
    refusal,
)
from topreward_ros.nodes.reward.parameters import RULES, Change, RewardParameters
from topreward_ros.video.mosaic import Layout, LayoutError

_TOGETHER = {"layout", "cameras"}
_OTHER_PREFIXES = ("use_sim_time", "qos_overrides.", "start_type_description_service")


class LiveParameters:
    """The parameters on a node.

    Attributes:
        problems: by parameter, the sentence about a bad value at the start.
    """

    def __init__(
        self, node: Node, state: Callable[[], str], changed: Callable[[str, Any], None]
    ) -> None:
        """Declares all parameters.

        Args:
            node: takes them.
            state: returns the label of its lifecycle state.
            changed: told of each parameter that was set, with its value.
        """
        self._node = node
        self._state = state
        self._changed = changed
        self.problems: dict[str, str] = {}
        for rule in RULES.values():
            self._declare(rule)
        for name in self._unknown():
            node.get_logger().warning(f"The parameter {name} does not exist; it is ignored.")
        node.add_on_set_parameters_callback(self._refuse)
        node.add_post_set_parameters_callback(self._tell)

    def read(self) -> RewardParameters:
        """Returns their values.

        Raises:
            ParameterError: one has a bad value from the start, or they contradict each other.
        """
        if self.problems:
            raise ParameterError(" ".join(self.problems.values()))
        parameters = RewardParameters(
            **{name: frozen(self._node.get_parameter(name).value) for name in RULES}
        )
        contradiction = _contradiction(parameters.layout, parameters.cameras)
        if contradiction:
            raise ParameterError(contradiction)
        return parameters

    def take(self) -> RewardParameters:
        """Returns the values for an episode that starts, which takes what was meant for it alone.

        Raises:
            ParameterError: as `read`.
        """
        parameters = self.read()
        if not any(parameters.episode_statements):
            return parameters
        self._node.set_parameters([Parameter("episode_statements", value=[""])])
        return replace(
            parameters, statements=parameters.episode_statements, episode_statements=("",)
        )

    def _unknown(self) -> list[str]:
        """Names that were given at the start and that nothing reads, misspelt ones mostly."""
        given = getattr(self._node, "_parameter_overrides", {})
        return sorted(
            name for name in given if name not in RULES and not name.startswith(_OTHER_PREFIXES)
        )

    def _declare(self, rule: Any) -> None:
        value = plain(given_value(self._node, rule, rule.name))
        problem = refusal(rule, rule.name, value)
        if problem:
            self.problems[rule.name] = problem
            self._node.get_logger().error(problem)
            value = plain(rule.default)
        self._node.declare_parameter(rule.name, value, _descriptor(rule), ignore_override=True)

    def _refuse(self, parameters: list[Parameter]) -> SetParametersResult:
        given = {p.name: plain(p.value) for p in parameters if p.name in RULES}
        problems = [
            refusal(RULES[name], name, value) or self._untimely(RULES[name])
            for name, value in given.items()
        ]
        if not any(problems) and given.keys() & _TOGETHER:
            now = {name: plain(self._node.get_parameter(name).value) for name in _TOGETHER}
            problems.append(_contradiction(**{**now, **{n: given[n] for n in given if n in now}}))
        problem = next((sentence for sentence in problems if sentence), None)
        if problem is None:
            return SetParametersResult(successful=True)
        self._node.get_logger().warning(problem)
        return SetParametersResult(successful=False, reason=problem)

    def _untimely(self, rule: Any) -> str | None:
        state = self._state()
        if rule.metadata["change"] is Change.UNCONFIGURED and state != "unconfigured":
            return (
                f"{rule.name} can be set only while the node is unconfigured, and it is {state}; "
                "clean it up first."
            )
        return None

    def _tell(self, parameters: list[Parameter]) -> None:
        for parameter in parameters:
            if parameter.name in RULES:
                self.problems.pop(parameter.name, None)
                self._changed(parameter.name, plain(parameter.value))


def _contradiction(layout: str, cameras: Sequence[str]) -> str | None:
    try:
        Layout.named(layout).check(len(cameras))
    except LayoutError as error:
        return f"layout and cameras contradict each other: {error}"
    return None


def _descriptor(rule: Any) -> ParameterDescriptor:
    told = descriptor(rule)
    timely = f"Set {rule.metadata['change'].value}."
    told.additional_constraints = f"{told.additional_constraints} {timely}".strip()
    return told
