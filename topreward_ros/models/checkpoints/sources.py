"""Where a model comes from, and whether what lies there can be loaded safely."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from topreward_ros.models.checkpoints.configuration import read_configuration, require_family
from topreward_ros.models.contract import ModelError

DEMO = "demo"
DEMO_DIRECTORY = Path(__file__).parents[1] / "demo"
RANDOM = "random:"
HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(\w[\w./-]*))?", re.ASCII)
"""A hub id, with a revision or without."""
READ_WHOLE = (".json", ".jinja", ".txt", ".model")
LARGEST_READ = 64 * 2**20
"""Bytes of a file that is read as a whole; tokenizers have tens of MiB at most."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class Source:
    """Where a model is loaded from.

    Attributes:
        name: as it was asked for.
        location: a directory, or a hub id.
        random: whether the weights are made up from the configuration.
        revision: branch, tag or commit of a hub model; None: its main branch.
    """

    name: str
    location: str
    random: bool = False
    revision: str | None = None

    @property
    def directory(self) -> Path | None:
        """The local directory, or None for a hub id."""
        path = Path(self.location)
        return path if path.is_dir() else None


def find_source(model: str, *, weights: bool = True) -> Source:
    """Tells a directory, a hub id, `demo` and `random:<directory>` apart, and checks a directory.

    Args:
        model: as it was asked for.
        weights: whether it has to have them; a model that is served elsewhere needs none here.

    Raises:
        ModelError: there is no such thing, or what is there cannot be loaded.
    """
    try:
        return _checked(_named(model), weights)
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
    named = None if random or location.exists() else HUB_ID.fullmatch(model)
    if named:
        return Source(model, named[1], revision=named[2])
    return Source(model, str(location), random)


def _checked(source: Source, weights: bool) -> Source:
    if source.directory is not None:
        _check_configuration(source.directory)
        if weights and not source.random:
            _check_weights(source.directory)
    elif source.random or not HUB_ID.fullmatch(source.name) or Path(source.location).exists():
        raise ModelError(
            f"There is no model at {source.name!r}; give a hub id such as "
            f"Qwen/Qwen3-VL-8B-Instruct (@<revision> pins it), a checkpoint directory, {DEMO!r}, "
            f"or {RANDOM}<directory with a config.json>."
        )
    return source


def _check_configuration(directory: Path) -> None:
    path = directory / "config.json"
    if not path.is_file():
        raise ModelError(
            f"The directory {directory} holds no config.json; give the directory of a "
            "transformers checkpoint."
        )
    require_family(read_configuration(path).get("model_type"), directory)
    for file in directory.iterdir():
        if file.suffix in READ_WHOLE and file.stat().st_size > LARGEST_READ:
            raise ModelError(
                f"{file} is larger than {LARGEST_READ // 2**20} MiB, more than any checkpoint "
                "needs; fetch the model again."
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
