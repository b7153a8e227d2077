"""The demo model: Qwen3-VL's own classes at a few million parameters."""

from __future__ import annotations

import torch
from numpy.typing import NDArray
from torch.nn.functional import linear, scaled_dot_product_attention
from transformers import PreTrainedTokenizerBase, Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb_vision

from topreward_ros.models.families.qwen_patches import PatchGrid

GRID = PatchGrid(96, 96, patch=8, merge=2)


def make_config(tokenizer: PreTrainedTokenizerBase) -> Qwen3VLConfig:
    """The sizes of the demo model."""
    ids = tokenizer.convert_tokens_to_ids
    return Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 160,
            "intermediate_size": 448,
            "num_hidden_layers": 5,
            "num_attention_heads": 5,
            "num_key_value_heads": 5,
            "head_dim": 32,
            "max_position_embeddings": 32768,
            "initializer_range": 0.06,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
            },
            "pad_token_id": ids("<|endoftext|>"),
            "bos_token_id": None,
            "eos_token_id": ids("<|im_end|>"),
        },
        vision_config={
            "depth": 3,
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_heads": 4,
            "patch_size": GRID.patch,
            "spatial_merge_size": GRID.merge,
            "temporal_patch_size": GRID.temporal,
            "out_hidden_size": 160,
            "num_position_embeddings": GRID.rows * GRID.columns,
            "deepstack_visual_indexes": [0, 1, 2],
        },
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        tie_word_embeddings=False,
        dtype="float32",
    )


def make_model(tokenizer: PreTrainedTokenizerBase, seed: int) -> Qwen3VLForConditionalGeneration:
    """A model with random weights."""
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(make_config(tokenizer))
    for merger in model.model.visual.deepstack_merger_list:
        # DeepStack begins as nothing, and becomes something where it helps
        torch.nn.init.zeros_(merger.linear_fc2.weight)
    return model


def pair_pixels(frames: torch.Tensor) -> torch.Tensor:
    """Many pairs at once, each as `patchify` makes it.

    Args:
        frames: (n, 2, 96, 96, 3) float32 in -1..1.

    Returns:
        (n, patches, values).
    """
    count = len(frames)
    cut = frames.view(
        count,
        GRID.temporal,
        GRID.token_rows,
        GRID.merge,
        GRID.patch,
        GRID.token_columns,
        GRID.merge,
        GRID.patch,
        3,
    )
    return cut.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(count, GRID.rows * GRID.columns, -1)


class BatchedVision:
    """The vision tower over many pairs at once.

    transformers packs pairs into one sequence and attends to each in turn, which is slow on a CPU
    for hundreds of small pairs. All pairs here have one size, so one batched attention does it.

    Args:
        model: whose weights are used; gradients reach them.
    """

    def __init__(self, model: Qwen3VLForConditionalGeneration) -> None:
        self._tower = model.model.visual
        merge, rows = GRID.merge, torch.arange(GRID.rows)
        blocks = (GRID.token_rows, merge, GRID.token_columns, merge)
        down = rows[:, None].expand(-1, GRID.columns).reshape(blocks).transpose(1, 2).flatten()
        right = rows[None, :].expand(GRID.rows, -1).reshape(blocks).transpose(1, 2).flatten()
        self._place = down * GRID.columns + right
        positions = torch.stack([down, right], dim=-1)
        self._positions = positions
        self._rotary = None

    def _angles(self, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        if self._rotary is None:
            probe = torch.zeros(1)
            self._rotary = self._tower.rotary_pos_emb(probe, self._positions)
        return tuple(part.to(dtype) for part in self._rotary)

    def __call__(
        self, pixels: torch.Tensor, *, deepstack: bool = True
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Encodes pairs.

        Args:
            pixels: (n, patches, values), from `pair_pixels`.
            deepstack: whether to compute the DeepStack features too.

        Returns:
            (n, tokens, hidden) features, and the DeepStack features of the same shape.
        """
        tower = self._tower
        conv = tower.patch_embed.proj
        hidden = linear(pixels, conv.weight.flatten(1), conv.bias) + tower.pos_embed(self._place)
        cos, sin = self._angles(torch.float32)
        layers = []
        for index, block in enumerate(tower.blocks):
            hidden = hidden + self._attend(block.attn, block.norm1(hidden), cos, sin)
            hidden = hidden + block.mlp(block.norm2(hidden))
            if deepstack and index in tower.deepstack_visual_indexes:
                merger = tower.deepstack_merger_list[tower.deepstack_visual_indexes.index(index)]
                layers.append(merger(hidden).view(len(pixels), GRID.tokens, -1))
        return tower.merger(hidden).view(len(pixels), GRID.tokens, -1), layers

    @staticmethod
    def _attend(
        attention: torch.nn.Module, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> torch.Tensor:
        count, length, _ = hidden.shape
        parts = attention.qkv(hidden).view(count, length, 3, attention.num_heads, -1)
        query, key, value = parts.unbind(2)
        # in float32 also under autocast: backward through bfloat16 attention is slower on CPUs
        with torch.autocast("cpu", enabled=False):
            query, key = apply_rotary_pos_emb_vision(query.float(), key.float(), cos, sin)
            mixed = scaled_dot_product_attention(
                query.transpose(1, 2), key.transpose(1, 2), value.float().transpose(1, 2)
            )
        return attention.proj(mixed.transpose(1, 2).reshape(count, length, -1))


def normalised(frames: NDArray) -> torch.Tensor:
    """uint8 pixels as the model's numbers in -1..1."""
    return torch.from_numpy(frames).float().sub_(127.5).div_(127.5)
