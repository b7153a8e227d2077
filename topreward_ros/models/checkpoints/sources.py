"""Where a model comes from, and whether what lies there can be loaded safely."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from topreward_ros.models.contract import ModelError
from topreward_ros.models.families.registry import FAMILIES

DEMO = "demo"
DEMO_DIRECTORY = Path(__file__).parents[1] / "demo"
RANDOM = "random:"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class Source:
    """Where a model is loaded from.

    Attributes:
        name: as it was asked for.
        location: a directory, or a hub id.
        random: whether the weights are made up from the configuration.
    """

    name: str
    location: str
    random: bool = False

    @property
    def directory(self) -> Path | None:
        """The local directory, or None for a hub id."""
        path = Path(self.location)
        return path if path.is_dir() else None


def find_source(model: str) -> Source:
    """Tells a directory, a hub id, `demo` and `random:<directory>` apart, and checks a directory.

    Raises:
        ModelError: there is no such thing, or what is there cannot be loaded.
    """
    try:
        return _checked(_named(model))
    except OSError as error:
        raise ModelError(
            f"The model {model!r} cannot be opened ({error}); see whether its path is right and "
            "may be read."
        ) from error


def _named(model: str) -> Source:
    if model == DEMO:
        return Source(model, str(DEMO_DIRECTORY))
    random = model.startswith(RANDOM)
    place = model[len(RANDOM) :] if random else model
    try:
        # Here alone: all that reads the model has to look at the same place.
        location = Path(place).expanduser()
    except RuntimeError:  # the home of a user who does not exist
        location = Path(place)
    return Source(model, str(location), random)


def _checked(source: Source) -> Source:
    if source.directory is not None:
        _check_configuration(source.directory)
        if not source.random:
            _check_weights(source.directory)
    elif source.random or not HUB_ID.fullmatch(source.name) or Path(source.location).exists():
        raise ModelError(
            f"There is no model at {source.name!r}; give a hub id such as "
            f"Qwen/Qwen3-VL-8B-Instruct, a checkpoint directory, {DEMO!r}, or {RANDOM}<directory "
            "with a config.json>."
        )
    return source


def _check_configuration(directory: Path) -> None:
    path = directory / "config.json"
    if not path.is_file():
        raise ModelError(
            f"The directory {directory} holds no config.json; give the directory of a "
            "transformers checkpoint."
        )
    try:
        model_type = json.loads(path.read_text()).get("model_type")
    except (ValueError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON ({error}); fetch the model again.") from error
    require_family(model_type, directory)


def require_family(model_type: object, place: Path | str) -> None:
    """Raises ModelError unless the model type is one that can be scored."""
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise ModelError(
            f"The model at {place} is of family {model_type!r}; supported are "
            f"{', '.join(sorted(FAMILIES))}."
        )


def _check_weights(directory: Path) -> None:
    weights = sorted(directory.glob("*.safetensors"))
    if not weights:
        pickled = [path.name for path in directory.iterdir() if path.suffix in PICKLES]
        held = f"only pickled weights ({', '.join(pickled)})" if pickled else "no weights"
        raise ModelError(
            f"The directory {directory} holds {held}; only safetensors are loaded, because a "
            "pickle can run code. Convert the checkpoint, or fetch one in safetensors."
        )
    for path in weights:
        try:
            with safe_open(path, framework="np") as tensors:
                tensors.keys()
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"The weights {path} are damaged ({error}); fetch the model again."
            ) from error
