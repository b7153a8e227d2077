"""Weights in fewer bits, by bitsandbytes.

Its int8 product also rounds the activations, each token's by its own largest value. So a token does
not depend on those that share a step with it, and where the last digits of what comes in agree, so
does what comes out: in float64, streaming equals recomputing to 2e-15 nat. In other formats a last
digit that differs becomes, at an edge of the rounding, a step of 1/127 of that largest value. The
more activations there are, the more of them stand at an edge: 5e-7 nat with 0.3 million weights in
float32, 5e-3 with 145 million, and 0.05 there in bfloat16, about what int8 itself costs there.
So int8 streams what it recomputes to within its own error, not closer; nf4 rounds no activations.
"""

from __future__ import annotations

import logging
from enum import Enum
from importlib.util import find_spec

import torch
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedConfig

from topreward_ros.models.checkpoints.sources import Source
from topreward_ros.models.contract import ModelError


class Quantization(str, Enum):
    """How the language model's weights are held."""

    NONE = "none"
    INT8 = "int8"
    NF4 = "nf4"


def check_quantization(
    quantization: Quantization, dtype: torch.dtype, source: Source, config: PreTrainedConfig
) -> None:
    """Refuses what would be loaded in another form than was asked for.

    Raises:
        ModelError: the weights are quantized otherwise, or cannot be.
    """
    if quantization is Quantization.NONE:
        return
    asked, held = f"quantization is {quantization.value}, and", stored_form(config)
    if source.random:
        raise ModelError(
            f"{asked} random weights are made in full precision; set quantization to none, or give "
            "a checkpoint with weights."
        )
    if held and held != quantization.value:
        raise ModelError(
            f"{asked} the weights of {source.name} are {held} already; set quantization to none, "
            "which loads them as they are, or give the checkpoint that was not quantized."
        )
    if quantization is Quantization.NF4 and dtype is torch.float64:
        raise ModelError(
            f"{asked} 4-bit weights do not compute in float64; set dtype to float32 or bfloat16."
        )


def stored_form(config: PreTrainedConfig) -> str:
    """Returns the form that a checkpoint's weights have already; "" for unquantized ones."""
    held = getattr(config, "quantization_config", None)
    if not held:
        return ""
    held = held if isinstance(held, dict) else held.to_dict()
    if held.get("load_in_8bit"):
        return Quantization.INT8.value
    if held.get("load_in_4bit"):
        return str(held.get("bnb_4bit_quant_type", "4-bit"))
    return str(held.get("quant_method", "quantized"))


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


def keep_streaming(model: nn.Module, dtype: torch.dtype) -> None:
    """Keeps quantized layers from doing what depends on how a video is cut into steps.

    Where a CPU multiplies bfloat16 by itself (AVX512-BF16), bitsandbytes rounds the activations of
    any format to that, and streaming would differ from recomputing by up to 0.02 nat. Weights that
    were stored as int8 bring a threshold of outlier columns, which depend on all tokens of a step.

    Args:
        model: as loaded.
        dtype: of the computation.
    """
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu") and dtype is not torch.bfloat16:
            layer.support_avx512bf16_for_cpu = False
        state = getattr(layer, "state", None)
        if hasattr(state, "threshold"):
            state.threshold = 0.0
            # It says at every product that it takes float16 in, which is how int8 works.
            logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
