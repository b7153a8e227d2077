"""What is wrong with a parameter's value, in one sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from rclpy.exceptions import InvalidTopicNameException
from rclpy.validate_topic_name import validate_topic_name

from topreward_ros.method.prompt import InstructionError, validate_instruction
from topreward_ros.nodes.reward_parameters import RULES


def problem_of(name: str, value: Any) -> str | None:
    """Returns one sentence on what is wrong with a parameter's value, or None."""
    rule = RULES[name]
    if not _has_type_of(value, rule.default):
        expected = f"a value of type {_TYPES[rule.type]}"
    else:
        expected = _EXPECTATIONS.get(name, _general)(rule, value)
    if expected is None:
        return None
    shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
    return f"{name} is {shown}; expected {expected}."


def _has_type_of(value: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        return isinstance(value, list) and all(type(item) is type(default[0]) for item in value)
    return type(value) is type(default)


def _general(rule: Any, value: Any) -> str | None:
    choices, pattern, limits = (rule.metadata[key] for key in ("choices", "pattern", "limits"))
    if choices and value not in choices:
        return f"one of {', '.join(choices)}"
    if pattern and not re.fullmatch(pattern, value):
        return f"something like: {rule.metadata['description']}"
    if limits and not limits[0] <= value <= limits[1]:
        return f"{limits[0]} to {limits[1]}: {rule.metadata['description']}"
    return None


def _frame_size(rule: Any, value: list[int]) -> str | None:
    if value == [0, 0] or (len(value) == 2 and all(16 <= side <= 4096 for side in value)):
        return None
    return "two sides of 16 to 4096 px, [height, width], or [0, 0] for the model's own"


def _max_pairs(rule: Any, value: int) -> str | None:
    return "an even number" if value % 2 else _general(rule, value)


def _threshold(rule: Any, value: float) -> str | None:
    if math.isnan(value) or -math.inf < value <= 0.0:
        return None
    return "a log-probability of at most 0 (nat), or .nan for the calibration's or model's own"


def _instruction(rule: Any, value: str) -> str | None:
    try:
        if value:
            validate_instruction(value)
    except InstructionError as error:
        return f"one sentence of plain text. {str(error).rstrip('.')}"
    return None


def _cameras(rule: Any, value: list[str]) -> str | None:
    if not 1 <= len(value) <= 16 or len(set(value)) != len(value):
        return "1 to 16 image topics, each once"
    for topic in value:
        try:
            validate_topic_name(topic)
        except (InvalidTopicNameException, ValueError):
            return f"names of image topics, and {topic!r} cannot be one"
    return None


_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "double",
    "bool": "bool",
    "tuple[int, ...]": "integer array",
    "tuple[str, ...]": "string array",
}
_EXPECTATIONS: dict[str, Callable[[Any, Any], str | None]] = {
    "frame_size": _frame_size,
    "max_pairs": _max_pairs,
    "success_threshold": _threshold,
    "instruction": _instruction,
    "cameras": _cameras,
}
