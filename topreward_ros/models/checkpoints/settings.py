"""What a checkpoint says of its own use, in `topreward.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from topreward_ros.method.prompt import PromptForm
from topreward_ros.models.contract import ModelError, Settings
from topreward_ros.small_files import FileRefused, read_small

LARGEST_RATE = 60.0
"""Frames per second; the node takes no more either."""
LARGEST_SIDE = 4096
"""px of a frame; the node takes no more either."""


def read_settings(directory: Path | None) -> Settings:
    """Reads `topreward.json` beside a checkpoint; a checkpoint without one has the defaults.

    Fields that are not known are left alone: a file may say more of itself.

    Raises:
        ModelError: the file is there and cannot be read, or a field is none that can be used.
    """
    path = directory / "topreward.json" if directory else None
    if path is None or not path.is_file():
        return Settings()
    values = _read(path)
    given = {name: values[name] for name in _FIELDS if name in values}
    for name, value in given.items():
        field = _FIELDS[name]
        if not field.fits(value):
            shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
            raise _damaged(path, f"{name} is {shown} and must be {field.expected}")
    return Settings(**{name: _FIELDS[name].convert(value) for name, value in given.items()})


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(read_small(path))
    except FileRefused as error:
        raise _damaged(path, str(error)) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"it is not valid JSON ({error})") from error
    if not isinstance(values, dict):
        raise _damaged(path, f"it holds a {type(values).__name__} and must hold an object")
    return values


def _damaged(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"{path} cannot be read: {reason}; correct the file or restore the checkpoint."
    )


def _number_within(value: object, low: float, high: float) -> bool:
    # Comparing refuses what is not a number (NaN) too; true and false are integers to Python.
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_threshold(value: object) -> bool:
    return value is None or _number_within(value, -sys.float_info.max, 0.0)


def _is_grey(value: object) -> bool:
    return value is None or _number_within(value, 0.0, 255.0)


def _is_rate(value: object) -> bool:
    return _number_within(value, sys.float_info.min, LARGEST_RATE)


def _is_size(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, list) or len(value) != 2:
        return False
    return all(isinstance(side, int) and _number_within(side, 1, LARGEST_SIDE) for side in value)


class _Field(NamedTuple):
    fits: Callable[[object], bool]
    expected: str
    convert: Callable[[Any], Any]


_FORMS = [form.value for form in PromptForm]
_FIELDS = {
    "success_threshold": _Field(
        _is_threshold,
        "a log-probability of at most 0 (nat), or null for none",
        lambda value: None if value is None else float(value),
    ),
    "sample_rate": _Field(
        _is_rate, f"a number above 0, at most {LARGEST_RATE:g} (frames per second)", float
    ),
    "motion_threshold": _Field(
        _is_grey,
        "0 to 255 (grey levels), or null where every frame counted",
        lambda value: None if value is None else float(value),
    ),
    "frame_size": _Field(
        _is_size,
        f"[height, width], whole numbers of 1 to {LARGEST_SIDE} px, or null for the family's",
        lambda value: None if value is None else tuple(value),
    ),
    "prompt_form": _Field(lambda value: value in _FORMS, f"one of {', '.join(_FORMS)}", PromptForm),
}
