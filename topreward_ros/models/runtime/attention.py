"""Attention for a few new tokens against a long cache.

Registered with transformers under own names, so that its models call it in place of theirs, whose
masked `sdpa` copies keys and values once per query head of a group, and whose `eager` rounds a
float64 softmax to float32.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask, sdpa_mask

ATTENTIONS = {"sdpa": "topreward_sdpa", "eager": "topreward_eager"}
"""What the parameter `attention` offers, and the names under which transformers finds it."""


def sdpa(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """Fused attention in which the query heads of a group become rows of one head.

    Args:
        module: the attention layer.
        query: (batch, heads, n, size).
        key: (batch, key heads, held + n, size).
        value: as `key`.
        attention_mask: (batch, 1, n, held + n), bool or additive, or None.
        scaling: of the dot products.
        is_causal: whether n tokens without a mask see only those before them.
        **kwargs: what other implementations take.

    Returns:
        (batch, n, heads, size), and None for the weights.
    """
    batch, heads, rows, size = query.shape
    groups = heads // key.shape[1]
    causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
    if attention_mask is None:
        output = nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            scale=scaling,
            is_causal=causal and rows > 1,
            enable_gqa=groups > 1,
        )
    else:
        folded = query.reshape(batch, key.shape[1], groups * rows, size)
        mask = attention_mask[..., : key.shape[2]].repeat(1, 1, groups, 1)
        output = nn.functional.scaled_dot_product_attention(
            folded, key, value, attn_mask=mask, scale=scaling
        ).reshape(batch, heads, rows, size)
    return output.transpose(1, 2), None


def eager(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention written out, softmax in at least float32. Arguments and first result as `sdpa`.

    Returns:
        (batch, n, heads, size), and (batch, heads, n, held + n) weights.
    """
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    weights = query @ key.transpose(2, 3) * (scaling or query.shape[-1] ** -0.5)
    if attention_mask is not None:
        weights = weights + attention_mask[..., : key.shape[2]]
    exact = torch.promote_types(weights.dtype, torch.float32)
    weights = weights.softmax(dim=-1, dtype=exact).to(query.dtype)
    return (weights @ value).transpose(1, 2), weights


AttentionInterface.register(ATTENTIONS["sdpa"], sdpa)
AttentionMaskInterface.register(ATTENTIONS["sdpa"], sdpa_mask)
AttentionInterface.register(ATTENTIONS["eager"], eager)
AttentionMaskInterface.register(ATTENTIONS["eager"], eager_mask)
