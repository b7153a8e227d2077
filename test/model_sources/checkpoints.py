"""Small random checkpoints of real architectures, written as a hub would hold them."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
)

from topreward_ros.method.prompt import QUESTION

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
CORPUS = [QUESTION, "user assistant", " True True False", "<0.0 seconds>", "put the red cube"]


def tiny_tokenizer(corpus: list[str] = CORPUS, special: list[str] = SPECIAL) -> object:
    """Returns a byte-level tokenizer in which the answers are single tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        ["True " + text + " True False True" for text in corpus * 20], trainer
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")


def qwen3_vl_config(tokenizer: object, *, wide: int = 1, moe: bool = False) -> object:
    """Returns a configuration of `wide` times the smallest size."""
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64 * wide,
        "intermediate_size": 128 * wide,
        "num_hidden_layers": 4,
        "num_attention_heads": 4 * wide,
        "num_key_value_heads": 2 * wide,
        "head_dim": 16,
        "initializer_range": 0.2 / wide,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [4, 2, 2],
            "mrope_interleaved": True,
        },
    }
    if moe:
        text |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    vision = {
        "depth": 3,
        "hidden_size": 32 * wide,
        "intermediate_size": 64 * wide,
        "num_heads": 2,
        "patch_size": 8,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": 64 * wide,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1, 2],
        "initializer_range": 0.2 / wide,
    }
    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>")
        for name, token in {
            "image": "image_pad",
            "video": "video_pad",
            "vision_start": "vision_start",
            "vision_end": "vision_end",
        }.items()
    }
    config = Qwen3VLMoeConfig if moe else Qwen3VLConfig
    return config(text_config=text, vision_config=vision, **ids)


def save(model: PreTrainedModel, tokenizer: object, directory: Path) -> Path:
    """Writes model and tokenizer; returns the directory."""
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def write_qwen3_vl(directory: Path, *, wide: int = 1, moe: bool = False, seed: int = 0) -> Path:
    """Writes a random Qwen3-VL checkpoint; returns the directory."""
    tokenizer = tiny_tokenizer()
    torch.manual_seed(seed)
    architecture = Qwen3VLMoeForConditionalGeneration if moe else Qwen3VLForConditionalGeneration
    model = architecture(qwen3_vl_config(tokenizer, wide=wide, moe=moe)).eval()
    liven(model)
    return save(model, tokenizer, directory)


def liven(model: PreTrainedModel) -> None:
    """Draws norms and biases at random."""
    # Fresh norms and biases are ones and zeros, which hides mistakes that trained ones would show.
    for name, weight in model.named_parameters():
        if weight.ndim == 1:
            torch.nn.init.normal_(weight, mean=float("norm" in name), std=0.1)
