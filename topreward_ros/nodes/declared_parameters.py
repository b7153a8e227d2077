"""Parameters as fields of a dataclass: declared on a node, judged in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, fields
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

Settings = TypeVar("Settings")


class ParameterError(ValueError):
    """A parameter with a value that is not allowed; the sentence names both."""


def parameter(
    default: Any,
    description: str,
    *,
    choices: Sequence[str] = (),
    limits: tuple[float, float] | None = None,
    fixed: bool = True,
    **more: Any,
) -> Any:
    """Returns a dataclass field that says all of one parameter in its metadata.

    Args:
        default: its default; a tuple for a list.
        description: its meaning, and its unit first where it has one.
        choices: the only allowed texts.
        limits: the least and the largest allowed number.
        fixed: whether it can be set at the start only.
        more: what else the node wants to know of it.
    """
    known = {"choices": tuple(choices), "limits": limits, "fixed": fixed}
    return field(default=default, metadata={"description": description, **known, **more})


def declare(
    node: Node,
    kind: type[Settings],
    problem: Callable[[Any, str, Any], str | None],
    *,
    prefix: str = "",
    empty_is_default: bool = False,
) -> Settings:
    """Declares all fields of a dataclass on a node and returns their values.

    Args:
        node: takes them.
        kind: the dataclass.
        problem: returns the sentence on a field, its parameter's name and a bad value, or None.
        prefix: of the parameters' names.
        empty_is_default: whether the default stands in for an empty list, which in YAML has no
            type.

    Raises:
        ParameterError: a value has a problem.
    """
    values = {}
    for rule in fields(kind):
        name = f"{prefix}{rule.name}"
        value = given_value(node, rule, name)
        if empty_is_default and value in (None, ()):
            value = rule.default
        if sentence := problem(rule, name, value):
            raise ParameterError(sentence)
        node.declare_parameter(name, plain(value), descriptor(rule), ignore_override=True)
        values[rule.name] = value
    return kind(**values)


def given_value(node: Node, rule: Any, name: str) -> Any:
    """Reads what a parameter was given at the start, or its default, and leaves it undeclared."""
    # Of any type and range, so that a wrong value gets this package's sentence and not a trace.
    node.declare_parameter(name, plain(rule.default), ParameterDescriptor(dynamic_typing=True))
    value = node.get_parameter(name).value
    node.undeclare_parameter(name)
    return _in_kind(frozen(value), rule.default)


def _in_kind(value: Any, default: Any) -> Any:
    """Returns a whole number as a real one where the default is: people write 2 for 2.0."""
    if isinstance(value, tuple) and isinstance(default, tuple):
        return tuple(_in_kind(one, default[0]) for one in value)
    return float(value) if isinstance(default, float) and type(value) is int else value


def refusal(rule: Any, subject: str, value: Any, kinds: Mapping[str, str]) -> str | None:
    """Returns one sentence on what is wrong with a value, or None.

    Args:
        rule: the parameter's field.
        subject: what the sentence calls the parameter.
        value: judged; lists are tuples.
        kinds: the words for types, by their annotation; without words it speaks for itself.
    """
    choices, limits = rule.metadata["choices"], rule.metadata["limits"]
    if not _is_like(value, rule.default):
        expected = kinds.get(rule.type, rule.type)
    elif choices and value not in choices:
        expected = " or ".join(choices)
    elif limits and not limits[0] <= value <= limits[1]:
        expected = f"{limits[0]:g} to {limits[1]:g}"
    else:
        return None
    return f"{subject} is {value!r}; expected {expected}: {rule.metadata['description']}"


def _is_like(value: Any, default: Any) -> bool:
    """Whether the types agree, and the count of numbers in a list; texts may be any number."""
    if not isinstance(value, tuple) or not isinstance(default, tuple):
        return type(value) is type(default)
    like = all(type(one) is type(default[0]) for one in value)
    return like and (isinstance(default[0], str) or len(value) == len(default))


def descriptor(rule: Any) -> ParameterDescriptor:
    """Returns what ROS is told of a parameter."""
    limits = rule.metadata["limits"]
    told = ParameterDescriptor(
        description=rule.metadata["description"],
        additional_constraints=" or ".join(rule.metadata["choices"]),
        read_only=rule.metadata["fixed"],
    )
    if limits and isinstance(rule.default, int):
        told.integer_range = [IntegerRange(from_value=limits[0], to_value=limits[1])]
    elif limits:
        told.floating_point_range = [FloatingPointRange(from_value=limits[0], to_value=limits[1])]
    return told


def frozen(value: Any) -> Any:
    """Returns a list as a tuple, and anything else as it is."""
    value = plain(value)
    return tuple(value) if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """Returns arrays, which come as array.array or a tuple, as a list."""
    is_array = hasattr(value, "__len__") and not isinstance(value, (str, bytes))
    return list(value) if is_array else value
