"""Other ways of scoring that are compared side by side, as the command line names them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from topreward_ros.method.prompt import PromptForm
from topreward_ros.video.motion import DEFAULT_THRESHOLD


class AblationError(ValueError):
    """An ablation that does not exist, or a value that it cannot have."""


def _size(text: str) -> list[int]:
    height, _, width = text.partition("x")
    return [int(height), int(width or height)]


def _gate(text: str) -> float | None:
    return {"on": DEFAULT_THRESHOLD, "off": None}[text]


def _window(text: str) -> int | None:
    return None if text == "true" else int(text)


def _form(text: str) -> str:
    return PromptForm(text).value


def _quantization(text: str) -> str:
    if text not in ("none", "int8", "nf4"):
        raise ValueError(text)
    return text


ABLATIONS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "prompt-form": ("prompt_form", _form, "raw, raw_period, chat"),
    "sample-rate": ("sample_rate", float, "frames per second, such as 1, 2, 4"),
    "frame-size": ("frame_size", _size, "HEIGHTxWIDTH or one side, such as 224, 480x640"),
    "quantization": ("quantization", _quantization, "none, int8, nf4"),
    "motion-gate": ("motion_threshold", _gate, "on, off"),
    "prefix": ("last", _window, "true, or a number of last frames (LeRobot: 16)"),
}
"""By name: the option that it sets, what reads a value, and which values there are."""


def variants(
    options: argparse.Namespace, asked: Sequence[str]
) -> list[tuple[str, argparse.Namespace]]:
    """Returns the ways of scoring: the options as they are, then each value of each ablation.

    Args:
        options: of the command line.
        asked: each `name=value,value`.

    Raises:
        AblationError: an unknown name, or a value that does not fit.
    """
    found = [("as given", options)]
    for text in asked:
        name, separator, values = text.partition("=")
        if name not in ABLATIONS or not separator:
            raise AblationError(
                f"There is no ablation {text!r}; expected NAME=VALUE,VALUE with one of "
                f"{', '.join(ABLATIONS)}."
            )
        option, read, expected = ABLATIONS[name]
        for value in values.split(","):
            changed = copy(options)
            try:
                setattr(changed, option, read(value.strip()))
            except (ValueError, KeyError):
                raise AblationError(
                    f"The ablation {name} cannot have the value {value!r}; expected {expected}."
                ) from None
            found.append((f"{name} {value.strip()}", changed))
    return found
