"""Whether weights and memory hold what a configuration describes, before it takes the memory."""

from __future__ import annotations

from copy import deepcopy

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from topreward_ros.models.checkpoints.sources import Source
from topreward_ros.models.contract import ModelError
from topreward_ros.models.scorer import free_bytes

PARAMETERS_PER_BYTE = 4
"""More than any number format keeps; 4-bit weights have two."""
SMALLEST_WEIGHT = 0.5
"""Bytes in memory, of 4-bit weights."""
MEBIBYTE = 2**20


def check_size(
    source: Source,
    architecture: type[PreTrainedModel],
    config: PreTrainedConfig,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    """Refuses a configuration of more than weights or memory hold, before it takes the memory.

    A config.json that lost its sizes describes the family's largest model, and the system ends a
    process that takes more memory than there is.

    Raises:
        ModelError: it describes more.
    """
    with torch.device("meta"):
        planned = architecture._from_config(deepcopy(config))
    parameters = sum(weight.numel() for weight in planned.parameters())
    describes = f"{source.location}/config.json describes a model of {parameters:,} parameters"
    if source.directory is not None and not source.random:
        held = sum(path.stat().st_size for path in source.directory.glob("*.safetensors"))
        if parameters > PARAMETERS_PER_BYTE * held:
            raise ModelError(
                f"{describes}, and the weights beside it have {held:,} bytes; fetch the "
                "model again."
            )
    needed = parameters * (dtype.itemsize if source.random else SMALLEST_WEIGHT)
    free = free_bytes(device)
    if needed > free:
        raise ModelError(
            f"{describes}, which take {needed / MEBIBYTE:,.0f} MiB at least, and "
            f"{free // MEBIBYTE:,} MiB are free; take a smaller model, or another device."
        )
