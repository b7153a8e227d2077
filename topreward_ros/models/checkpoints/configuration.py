"""A checkpoint's config.json: judged by its numbers before anything is built from them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedConfig
from transformers.utils import cached_file

from topreward_ros.models.contract import ModelError
from topreward_ros.models.families.registry import FAMILIES
from topreward_ros.small_files import FileRefused, read_small

MOST_PARTS = 1000
"""Layers, experts, or entries of a list; the largest models have a few hundred."""
PARTS = re.compile(r"(layers|depth|experts|blocks|stages)$")
"""Names of the numbers of which each one is built, or listed, by itself."""


def load_configuration(location: str, revision: str | None, attention: str) -> PreTrainedConfig:
    """Reads the configuration of a directory or of a hub model.

    Args:
        location: a directory, or a hub id.
        revision: branch, tag or commit of a hub model; None: its main branch.
        attention: the attention to run with, whatever the file names: that could be code on a hub.

    Raises:
        ModelError: it cannot be used.
        OSError: the hub cannot be reached, or has no such model or revision.
    """
    path = Path(location) / "config.json"
    if not path.is_file():
        path = Path(cached_file(location, "config.json", revision=revision))
    require_family(read_configuration(path).get("model_type"), location)
    config = AutoConfig.from_pretrained(location, revision=revision, trust_remote_code=False)
    config._attn_implementation = attention
    config._experts_implementation = None
    return config


def read_configuration(path: Path) -> dict[str, Any]:
    """Reads a config.json and refuses numbers that would take minutes to build.

    Raises:
        ModelError: it is no such file, or describes what no model has.
    """
    try:
        values = json.loads(read_small(path))
    except (ValueError, RecursionError) as error:
        kind = "cannot be used" if isinstance(error, FileRefused) else "is not valid JSON"
        raise ModelError(f"{path} {kind} ({error}); fetch the model again.") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} is not valid JSON of a model; fetch the model again.")
    parts = [("config.json", values)]
    while parts:
        name, value = parts.pop()
        counted = isinstance(value, int) and PARTS.search(name)
        if counted and value > MOST_PARTS:
            raise _too_many(path, f"{name} is {value}")
        if isinstance(value, list) and len(value) > MOST_PARTS:
            raise _too_many(path, f"{name} has {len(value)} entries")
        if isinstance(value, dict):
            parts += value.items()
        elif isinstance(value, list):
            parts += [(name, part) for part in value if isinstance(part, list | dict)]
    return values


def require_family(model_type: object, place: Path | str) -> None:
    """Raises ModelError unless the model type is one that can be scored."""
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise ModelError(
            f"The model at {place} is of family {model_type!r}; supported are "
            f"{', '.join(sorted(FAMILIES))}."
        )


def _too_many(path: Path, what: str) -> ModelError:
    return ModelError(
        f"{path} cannot be used: {what}, and a model has at most {MOST_PARTS}; fetch the model "
        "again."
    )
