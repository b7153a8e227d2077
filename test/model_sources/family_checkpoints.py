"""Small random checkpoints of the other families, with the special tokens of their tokenizers."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch
from checkpoints import CORPUS, SPECIAL, liven, qwen3_vl_config, save, tiny_tokenizer
from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    Molmo2Config,
    Molmo2ForConditionalGeneration,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3_5MoeConfig,
    Qwen3_5MoeForConditionalGeneration,
)

SIZES = {"qwen3_5": (32, 48), "qwen3_5_moe": (32, 48), "internvl": (32, 32), "molmo2": (40, 40)}
"""Frame size of each family's checkpoint, in px."""
MARKERS = {
    "internvl": ["<img>", "</img>", "<IMG_CONTEXT>", "<video>"],
    "molmo2": [
        "<im_patch>",
        "<frame_start>",
        "<frame_end>",
        "<|video|>",
        "<|image|>",
        "<im_col>",
        "<im_start>",
        "<low_res_im_start>",
        "<im_end>",
    ],
}


def write_family(family: str, directory: Path) -> Path:
    """Writes a random checkpoint of a family; returns the directory."""
    tokenizer = tiny_tokenizer(CORPUS, [*SPECIAL, *MARKERS.get(family, [])])
    torch.manual_seed(0)
    model = MODELS[family](tokenizer).eval()
    liven(model)
    return save(model, tokenizer, directory)


def widen_delta_rule(monkeypatch: object) -> None:
    """Lets transformers' linear attention compute in float64; by itself it casts to float32.

    Its last digits then no longer depend on how a video is cut into steps.
    """

    class Wide:
        float32 = torch.float64

        def __getattr__(self, name: str) -> object:
            return getattr(torch, name)

    for family in ("qwen3_5", "qwen3_5_moe"):
        module = importlib.import_module(f"transformers.models.{family}.modeling_{family}")
        monkeypatch.setattr(module, "torch", Wide())


def _text(tokenizer: object, **more: object) -> dict[str, object]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.2,
        **more,
    }


def _qwen3_5(tokenizer: object, *, moe: bool = False) -> object:
    base = qwen3_vl_config(tokenizer).to_dict()
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [2, 1, 1],
        "mrope_interleaved": True,
        "partial_rotary_factor": 0.5,
    }
    text = _text(
        tokenizer,
        head_dim=16,
        rope_parameters=rope,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        # transformers runs the delta rule in float32 in any model; wide weights would amplify that.
        initializer_range=0.03,
    )
    if moe:
        text |= {
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "shared_expert_intermediate_size": 64,
        }
    vision = {
        key: base["vision_config"][key]
        for key in (
            "depth",
            "hidden_size",
            "intermediate_size",
            "num_heads",
            "patch_size",
            "spatial_merge_size",
            "temporal_patch_size",
            "out_hidden_size",
            "num_position_embeddings",
            "initializer_range",
        )
    }
    ids = {key: base[key] for key in base if key.endswith("_token_id") and base[key] is not None}
    config = Qwen3_5MoeConfig if moe else Qwen3_5Config
    model = Qwen3_5MoeForConditionalGeneration if moe else Qwen3_5ForConditionalGeneration
    return model(config(text_config=text, vision_config=vision, **ids))


def _internvl(tokenizer: object) -> object:
    height, width = SIZES["internvl"]
    vision = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "image_size": [height, width],
        "patch_size": [8, 8],
        "initializer_range": 0.2,
        "layer_scale_init_value": 1.0,
    }
    return InternVLForConditionalGeneration(
        InternVLConfig(
            text_config=_text(tokenizer, model_type="qwen2"),
            vision_config=vision,
            image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
            image_seq_length=height * width // 16**2,
            tie_word_embeddings=False,
        )
    )


def _molmo2(tokenizer: object) -> object:
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "image_size": list(SIZES["molmo2"]),
        "patch_size": 8,
        "initializer_range": 0.2,
    }
    adapter = {
        "vision_feature_layer": [2, 0],
        "hidden_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "intermediate_size": 64,
        "text_hidden_size": 64,
        "initializer_range": 0.2,
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    text = _text(tokenizer, head_dim=16, additional_vocab_size=8, rope_parameters=rope)
    ids = {
        "image_patch_id": "<im_patch>",
        "frame_start_token_id": "<frame_start>",
        "frame_end_token_id": "<frame_end>",
    }
    return Molmo2ForConditionalGeneration(
        Molmo2Config(
            text_config=text,
            vision_config=vision,
            adapter_config=adapter,
            **{key: tokenizer.convert_tokens_to_ids(token) for key, token in ids.items()},
        )
    )


MODELS = {
    "qwen3_5": _qwen3_5,
    "qwen3_5_moe": lambda tokenizer: _qwen3_5(tokenizer, moe=True),
    "internvl": _internvl,
    "molmo2": _molmo2,
}
