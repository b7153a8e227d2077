"""The parameters of `overlay_node`: each is declared once, with its type, range and meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node

from topreward_ros.video.mosaic import Layout, LayoutError

LONGEST_SIDE = 4096
_KINDS = {
    "str": "a text",
    "int": "an integer",
    "float": "a number",
    "tuple[str, ...]": "a list of texts",
    "tuple[float, ...]": "three numbers, [x, y, z]",
}


class OverlayParameterError(ValueError):
    """A parameter with a value that is not allowed; the sentence names both."""


def _is(
    default: Any,
    description: str,
    *,
    choices: Sequence[str] = (),
    limits: tuple[float, float] | None = None,
) -> Any:
    metadata = {"description": description, "choices": tuple(choices), "limits": limits}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class OverlayParameters:
    """Values of all parameters, read at the start; the descriptions are in the fields' metadata."""

    reward_node: str = _is("reward_node", "Name of the reward node; relative: in this namespace.")
    cameras: tuple[str, ...] = _is(
        ("",), 'Image topics; [""]: those of the reward node, with its transport and layout.'
    )
    transport: str = _is(
        "auto",
        "Type of the image topics: raw (Image), compressed (CompressedImage), auto (as published).",
        choices=("auto", "raw", "compressed"),
    )
    layout: str = _is(
        "row",
        "How several cameras become one picture.",
        choices=[layout.value for layout in Layout],
    )
    rate: float = _is(5.0, "Pictures per second at most, by the wall clock.", limits=(0.1, 10.0))
    max_width: int = _is(
        960, "px; wider pictures are made smaller before they are sent.", limits=(160, LONGEST_SIDE)
    )
    frame_id: str = _is("base_link", "Coordinate frame in which the markers stand.")
    position: tuple[float, ...] = _is((0.0, 0.0, 0.8), "[x, y, z] in m, where the markers stand.")
    text_height: float = _is(
        0.07, "m, height of the markers' letters; the bar goes with it.", limits=(0.001, 10.0)
    )

    @property
    def own_cameras(self) -> tuple[str, ...]:
        """The image topics given to this node itself; empty: those of the reward node."""
        return tuple(topic for topic in self.cameras if topic)


def declare_parameters(node: Node) -> OverlayParameters:
    """Declares all parameters on a node and returns their values.

    Raises:
        OverlayParameterError: a value is of another type, out of range or not among the choices.
    """
    values = {rule.name: _declare(node, rule) for rule in fields(OverlayParameters)}
    parameters = OverlayParameters(**values)
    try:
        Layout.named(parameters.layout).check(max(1, len(parameters.own_cameras)))
    except LayoutError as error:
        raise OverlayParameterError(f"layout and cameras contradict each other: {error}") from None
    return parameters


def _declare(node: Node, rule: Any) -> Any:
    default = list(rule.default) if isinstance(rule.default, tuple) else rule.default
    # Of any type and range first, so that a wrong value gets this package's sentence.
    node.declare_parameter(rule.name, default, ParameterDescriptor(dynamic_typing=True))
    try:
        value = node.get_parameter(rule.name).value
    except ParameterNotDeclaredException:
        value = None
    node.undeclare_parameter(rule.name)
    if hasattr(value, "__len__") and not isinstance(value, (str, bytes)):
        value = tuple(value)
    if isinstance(rule.default, float) and type(value) is int:
        value = float(value)  # 2 for 2.0 is how people write it
    if rule.name == "position" and isinstance(value, tuple):
        value = tuple(float(v) if type(v) is int else v for v in value)
    expected = _expected(rule, value)
    if expected:
        raise OverlayParameterError(
            f"The parameter {rule.name} is {value!r}; expected {expected}: "
            f"{rule.metadata['description']}"
        )
    given = list(value) if isinstance(value, tuple) else value
    node.declare_parameter(rule.name, given, _descriptor(rule), ignore_override=True)
    return value


def _expected(rule: Any, value: Any) -> str | None:
    choices, limits = rule.metadata["choices"], rule.metadata["limits"]
    if type(value) is not type(rule.default):
        return _KINDS[rule.type]
    if isinstance(value, tuple) and not all(type(v) is type(rule.default[0]) for v in value):
        return _KINDS[rule.type]
    if rule.name == "position" and len(value) != 3:
        return _KINDS[rule.type]
    if choices and value not in choices:
        return " or ".join(choices)
    if limits and not limits[0] <= value <= limits[1]:
        return f"{limits[0]:g} to {limits[1]:g}"
    return None


def _descriptor(rule: Any) -> ParameterDescriptor:
    limits = rule.metadata["limits"]
    descriptor = ParameterDescriptor(
        description=rule.metadata["description"],
        additional_constraints=" or ".join(rule.metadata["choices"]),
        read_only=True,
    )
    if limits and isinstance(rule.default, int):
        descriptor.integer_range = [IntegerRange(from_value=limits[0], to_value=limits[1])]
    elif limits:
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=limits[0], to_value=limits[1])
        ]
    return descriptor
