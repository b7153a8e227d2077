"""Parameters as fields of a dataclass: declared on a node, judged in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field, fields
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

Settings = TypeVar("Settings")

LONGEST_SHOWN = 80
"""Characters of a refused value."""
_KINDS = {
    str: ("a text", "texts"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", ""),
}


class ParameterError(ValueError):
    """A parameter with a value that is not allowed; the sentence names both."""


def parameter(
    default: Any,
    description: str,
    *,
    choices: Sequence[str] = (),
    limits: tuple[float, float] | None = None,
    check: Callable[[Any], str | None] = lambda value: None,
    fixed: bool = True,
    **more: Any,
) -> Any:
    """Returns a dataclass field that says all of one parameter in its metadata.

    Args:
        default: its default; a tuple for a list.
        description: its meaning, and its unit first where it has one.
        choices: the only allowed texts.
        limits: the least and the largest allowed number.
        check: returns what was expected in place of a value of the right type, or None.
        fixed: whether it can be set at the start only.
        more: what else the node wants to know of it.
    """
    known = {"choices": tuple(choices), "limits": limits, "check": check, "fixed": fixed}
    return field(default=default, metadata={"description": description, **known, **more})


def declare(
    node: Node, kind: type[Settings], *, prefix: str = "", empty_is_default: bool = False
) -> Settings:
    """Declares all fields of a dataclass on a node and returns their values.

    Args:
        node: takes them.
        kind: the dataclass.
        prefix: of the parameters' names.
        empty_is_default: whether the default stands in for an empty list, which in YAML has no
            type.

    Raises:
        ParameterError: a value is not allowed.
    """
    values = {}
    for rule in fields(kind):
        name = f"{prefix}{rule.name}"
        value = given_value(node, rule, name)
        if empty_is_default and value in (None, ()):
            value = rule.default
        if sentence := refusal(rule, name, value):
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


def refusal(rule: Any, name: str, value: Any) -> str | None:
    """Returns one sentence on what is wrong with a value of the parameter `name`, or None."""
    expected = _expected(rule, frozen(value))
    if expected is None:
        return None
    shown = repr(plain(value))
    shown = shown if len(shown) <= LONGEST_SHOWN else f"{shown[: LONGEST_SHOWN - 3]}..."
    return f"{name} is {shown}; expected {expected.rstrip('.')}."


def _expected(rule: Any, value: Any) -> str | None:
    choices, limits, check = (rule.metadata[key] for key in ("choices", "limits", "check"))
    if not _is_like(value, rule.default):
        expected = _kind_of(rule.default)
    elif choices and value not in choices:
        expected = _either(choices)
    elif limits and not limits[0] <= value <= limits[1]:
        expected = f"{limits[0]:g} to {limits[1]:g}"
    else:
        return check(value)
    return f"{expected}: {rule.metadata['description']}"


def _kind_of(default: Any) -> str:
    if not isinstance(default, tuple):
        return _KINDS[type(default)][0]
    count = "" if isinstance(default[0], str) else f"{len(default)} "
    return f"a list of {count}{_KINDS[type(default[0])][1]}"


def _either(choices: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))


def _is_like(value: Any, default: Any) -> bool:
    """Whether the types agree, and the count of numbers in a list; texts may be any number."""
    if not isinstance(value, tuple) or not isinstance(default, tuple):
        return type(value) is type(default)
    like = all(type(one) is type(default[0]) for one in value)
    return like and (isinstance(default[0], str) or len(value) == len(default))


def descriptor(rule: Any) -> ParameterDescriptor:
    """Returns what ROS is told of a parameter."""
    choices, limits = rule.metadata["choices"], rule.metadata["limits"]
    told = ParameterDescriptor(
        description=rule.metadata["description"],
        additional_constraints=f"{_either(choices)}." if choices else "",
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
