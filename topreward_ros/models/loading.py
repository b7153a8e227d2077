"""From the parameter `model` to a scorer, wherever that runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from topreward_ros.models.contract import ModelError, VideoScorer
from topreward_ros.models.served.address import Address, parse_address
from topreward_ros.models.served.options import DEFAULT_PATIENCE, ServedOptions
from topreward_ros.models.streaming.thinning import DEFAULT_LIMIT

ENGINES = {
    "vllm": "topreward_ros.models.served.vllm.scorer:open_vllm",
    "ray": "topreward_ros.models.served.ray_serve.scorer:open_ray_serve",
    "openai": "topreward_ros.models.served.apis.openai_scorer:open_openai",
    "gemini": "topreward_ros.models.served.apis.gemini_scorer:open_gemini",
}
"""By the engine of an address, what opens it: `(Address, ServedOptions) -> VideoScorer`."""
_SERVERS_OWN = {"dtype": "auto", "quantization": "none"}
"""What decides a score, and the server decides; with the defaults here."""


def open_scorer(
    model: str,
    *,
    prompt: str | None = None,
    frame_size: tuple[int, int] | None = None,
    max_pairs: int = DEFAULT_LIMIT,
    patience: float = DEFAULT_PATIENCE,
    **local: Any,
) -> VideoScorer:
    """Loads a model of this machine, or asks for one behind an address.

    Args:
        model: what `load_scorer` takes, or an address (`Address`).
        prompt: a `PromptForm`; None: the checkpoint's own, else raw.
        frame_size: (height, width) px; None: the checkpoint's own, else the family's.
        max_pairs: units of frames kept at most, even.
        patience: s that a question waits for a server which does not answer.
        local: what else `load_scorer` takes; dtype and quantization of a served model are its
            server's own.

    Raises:
        ModelError: it cannot be had as asked; the message says why and what to do.
    """
    address = parse_address(model)
    if address is None:
        from topreward_ros.models.checkpoints.loading import load_scorer  # takes seconds

        return load_scorer(
            model, prompt=prompt, frame_size=frame_size, max_pairs=max_pairs, **local
        )
    for name, default in _SERVERS_OWN.items():
        if local.get(name, default) != default:
            raise ModelError(
                f"{name} is {local[name]!r}, and the model {model} runs on a server, which has its "
                f"own; set {name} there, and leave it {default!r} here."
            )
    return _open(address, ServedOptions(prompt, frame_size, max_pairs, patience))


def _open(address: Address, options: ServedOptions) -> VideoScorer:
    module, name = ENGINES[address.engine].split(":")
    try:
        opener = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"The model {address.name} needs the Python package {error.name}, which is not "
            "installed; docs/fleet.md says which extra brings it."
        ) from None
    return opener(address, options)
