"""The parameters of replay_node: each is declared once, with its type, range and meaning."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node


class ReplayParameterError(ValueError):
    """A parameter with a value that is not allowed; the sentence names both."""


def _parameter(
    default: Any,
    description: str,
    *,
    choices: tuple[str, ...] = (),
    limits: tuple[float, float] | None = None,
) -> Any:
    metadata = {"description": description, "choices": choices, "limits": limits}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ReplayParameters:
    """Values of all parameters; the descriptions are in the fields' metadata."""

    path: str = _parameter("", "A rosbag2 (directory or file; mcap or sqlite3), or a video file.")
    rate: float = _parameter(
        1.0, "Seconds of the recording per second; stamps keep their spacing.", limits=(0.01, 100.0)
    )
    loop: bool = _parameter(False, "Play pass after pass, without end.")
    fps: float = _parameter(
        0.0, "Pictures per second of a video file; 0: what the file says.", limits=(0.0, 1000.0)
    )
    topics: tuple[str, ...] = _parameter(
        ("",), "Recorded image topics to play; empty: all. Rename them by ROS remapping."
    )
    stamps: str = _parameter(
        "now",
        "now: shifted to the node's clock and going on in a loop; recorded: as they are, jumping "
        "back in a loop.",
        choices=("now", "recorded"),
    )
    wait_for_subscribers: int = _parameter(
        0, "Subscribers that each played topic needs before it begins.", limits=(0, 1000)
    )
    start_delay: float = _parameter(
        0.5,
        "s from the last awaited subscriber to the first picture; the subscriber's side needs a "
        "moment to know the publisher.",
        limits=(0.0, 3600.0),
    )
    quality: int = _parameter(
        0,
        "JPEG quality in which raw pictures are published, on <topic>/compressed; 0: raw.",
        limits=(0, 100),
    )
    reliability: str = _parameter(
        "reliable", "QoS of the image topics.", choices=("reliable", "best_effort")
    )
    publish_clock: bool = _parameter(False, "Publish /clock, for nodes with use_sim_time.")
    shutdown_when_done: bool = _parameter(True, "End with exit code 0 after the last picture.")


def declare_parameters(node: Node) -> ReplayParameters:
    """Declares all parameters on a node and returns their values.

    Raises:
        ReplayParameterError: a value is of another type, out of range or not among the choices.
    """
    return ReplayParameters(
        **{rule.name: _declare(node, rule) for rule in fields(ReplayParameters)}
    )


def _declare(node: Node, rule: Any) -> Any:
    default = list(rule.default) if isinstance(rule.default, tuple) else rule.default
    node.declare_parameter(rule.name, default, _descriptor(rule))
    try:
        value = node.get_parameter(rule.name).value
    except ParameterNotDeclaredException:
        value = None
    if isinstance(rule.default, tuple) and isinstance(value, (list, tuple)):
        value = tuple(value)
    if isinstance(rule.default, float) and type(value) is int:
        value = float(value)  # 2 for 2.0 is how people write it
    expected = _expected(rule, value)
    if expected:
        raise ReplayParameterError(
            f"The parameter {rule.name} is {value!r}; expected {expected}: "
            f"{rule.metadata['description']}"
        )
    return value


def _expected(rule: Any, value: Any) -> str | None:
    choices, limits = rule.metadata["choices"], rule.metadata["limits"]
    if type(value) is not type(rule.default):
        return "a list of topics" if isinstance(rule.default, tuple) else f"a {rule.type} value"
    if choices and value not in choices:
        return " or ".join(choices)
    if limits and not limits[0] <= value <= limits[1]:
        return f"{limits[0]:g} to {limits[1]:g}"
    return None


def _descriptor(rule: Any) -> ParameterDescriptor:
    limits = rule.metadata["limits"]
    # Dynamic, so that a value of another type gets this package's sentence and not a trace.
    descriptor = ParameterDescriptor(
        description=rule.metadata["description"],
        additional_constraints=" or ".join(rule.metadata["choices"]),
        read_only=True,
        dynamic_typing=True,
    )
    if limits and isinstance(rule.default, int):
        descriptor.integer_range = [IntegerRange(from_value=limits[0], to_value=limits[1])]
    elif limits:
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=limits[0], to_value=limits[1])
        ]
    return descriptor
