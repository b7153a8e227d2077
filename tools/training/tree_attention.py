"""Attention for sequences of one video and many branches, in training only.

The video attends causally; each branch attends to its prefix of the video and to itself. One dense
mask over everything would cost three times as much.
"""

from __future__ import annotations

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, Qwen3VLForConditionalGeneration


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Attends within the video and from each branch.

    Args:
        module: the attention layer.
        query: (B, heads, V + P * G, size): a video of V tokens, then P branches of G tokens.
        key: like `query`.
        value: like `query`.
        attention_mask: (B * P, 1, G, V + G) additive.
        scaling: of the scores.

    Returns:
        (B, V + P * G, heads, size), and nothing for the weights.
    """
    # in float32 also under autocast: backward through bfloat16 attention is slower on CPUs
    query, key, value = query.float(), key.float(), value.float()
    branch = attention_mask.shape[-2]
    video = attention_mask.shape[-1] - branch
    batch, heads, length, size = query.shape
    count = (length - video) // branch

    def branches(part: torch.Tensor) -> torch.Tensor:
        own = part[:, :, video:].view(batch, heads, count, branch, size).transpose(1, 2)
        return own.flatten(0, 1)

    def with_video(part: torch.Tensor) -> torch.Tensor:
        shared = part[:, None, :, :video].expand(-1, count, -1, -1, -1).flatten(0, 1)
        return torch.cat([shared, branches(part)], dim=2)

    with torch.autocast("cpu", enabled=False):
        seen = scaled_dot_product_attention(
            query[:, :, :video],
            key[:, :, :video],
            value[:, :, :video],
            is_causal=True,
            scale=scaling,
        )
        asked = scaled_dot_product_attention(
            branches(query),
            with_video(key),
            with_video(value),
            attn_mask=attention_mask,
            scale=scaling,
        )
    asked = asked.view(batch, count, heads, branch, size).transpose(1, 2).flatten(2, 3)
    return torch.cat([seen, asked], dim=2).transpose(1, 2).contiguous(), None


def use_tree_attention(model: Qwen3VLForConditionalGeneration) -> None:
    """Lets a model's language layers attend this way; nothing of it is saved with the weights."""
    AttentionInterface.register("demo_tree", tree_attention)
    model.model.language_model.config._attn_implementation = "demo_tree"
