"""Weights in fewer bits, by bitsandbytes."""

from __future__ import annotations

from enum import Enum
from importlib.util import find_spec

import torch
from torch import nn
from transformers import BitsAndBytesConfig

from topreward_ros.models.contract import ModelError


class Quantization(str, Enum):
    """How the language model's weights are held."""

    NONE = "none"
    INT8 = "int8"
    NF4 = "nf4"


def quantization_config(
    quantization: Quantization, dtype: torch.dtype, kept: tuple[str, ...]
) -> BitsAndBytesConfig | None:
    """Returns what `from_pretrained` takes, or None for unquantized weights.

    Args:
        quantization: the form.
        dtype: of the computation.
        kept: anchored names of the modules that stay as they are: the vision tower, and the output
            layer that the answer is read from.

    Raises:
        ModelError: bitsandbytes is not installed.
    """
    if quantization is Quantization.NONE:
        return None
    if find_spec("bitsandbytes") is None:
        raise ModelError(
            f"quantization is {quantization.value}, which needs bitsandbytes; install the extra "
            '"models" of this package, or set quantization to none.'
        )
    if quantization is Quantization.INT8:
        # Outlier columns would depend on which tokens share a step, so streaming would not be
        # exact: threshold 0 turns them off.
        return BitsAndBytesConfig(
            load_in_8bit=True, llm_int8_threshold=0.0, llm_int8_skip_modules=list(kept)
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=list(kept),
    )


def keep_number_format(model: nn.Module, dtype: torch.dtype) -> None:
    """Lets 4-bit layers compute in the number format that was asked for, on every CPU.

    Where a CPU multiplies bfloat16 by itself (AVX512-BF16), bitsandbytes rounds the activations of
    any format to that, and streaming would differ from recomputing by up to 0.02 nat.

    Args:
        model: as loaded.
        dtype: of the computation.
    """
    if dtype is torch.bfloat16:
        return
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
