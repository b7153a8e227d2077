"""Models to measure with: real architectures with random weights."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.checkpoints.sources import DEMO_DIRECTORY
from topreward_ros.models.scorer import LocalScorer

TASK = "put the red cube on the green disc"
FPS = 2.0

_IDS = {
    "image_token_id": 0,
    "video_token_id": 1,
    "vision_start_token_id": 2,
    "vision_end_token_id": 3,
}
MIDSIZE = {
    "architectures": ["Qwen3VLForConditionalGeneration"],
    "model_type": "qwen3_vl",
    **_IDS,
    "text_config": {
        "model_type": "qwen3_vl_text",
        "vocab_size": 8192,
        "hidden_size": 768,
        "intermediate_size": 2304,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5000000.0,
            "mrope_section": [12, 10, 10],
            "mrope_interleaved": True,
        },
    },
    "vision_config": {
        "model_type": "qwen3_vl_vision",
        "depth": 8,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_heads": 8,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": 768,
        "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [1, 3, 5],
    },
}
"""About 145 million parameters, in the proportions of Qwen3-VL-8B."""


def _published(text: dict[str, Any], vision: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration as published for Qwen3-VL Instruct checkpoints."""
    shared_text = {
        "model_type": "qwen3_vl_text",
        "vocab_size": 151936,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 262144,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5000000.0,
            "mrope_section": [24, 20, 20],
            "mrope_interleaved": True,
        },
    }
    shared_vision = {
        "model_type": "qwen3_vl_vision",
        "num_heads": 16,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "num_position_embeddings": 2304,
    }
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "image_token_id": 151655,
        "video_token_id": 151656,
        "vision_start_token_id": 151652,
        "vision_end_token_id": 151653,
        "text_config": shared_text | text,
        "vision_config": shared_vision | vision,
    }


def _shallow(config: dict[str, Any], layers: int) -> dict[str, object]:
    """Returns a configuration with few layers, and a vocabulary that fits a small memory."""
    text = {**config["text_config"], "num_hidden_layers": layers, "vocab_size": 8192}
    vision = {**config["vision_config"], "depth": layers, "deepstack_visual_indexes": [0]}
    return {**config, **_IDS, "text_config": text, "vision_config": vision}


PUBLISHED = {
    "Qwen3-VL-8B": _published(
        {"hidden_size": 4096, "intermediate_size": 12288},
        {
            "depth": 27,
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "out_hidden_size": 4096,
            "deepstack_visual_indexes": [8, 16, 24],
        },
    ),
    "Qwen3-VL-4B": _published(
        {"hidden_size": 2560, "intermediate_size": 9728},
        {
            "depth": 24,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "out_hidden_size": 2560,
            "deepstack_visual_indexes": [5, 11, 17],
        },
    )
    | {"tie_word_embeddings": True},
}
"""The architectures of the published checkpoints, without their weights."""
WIDE = _shallow(PUBLISHED["Qwen3-VL-8B"], layers=2)
"""Few layers of the 8B, but as wide: attention's share falls with the width.

At the same number of tokens, attention weighs five times as much in MIDSIZE as in the 8B.
"""

LONG = {
    **MIDSIZE,
    "text_config": {
        **MIDSIZE["text_config"],
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "rope_parameters": PUBLISHED["Qwen3-VL-8B"]["text_config"]["rope_parameters"],
    },
    "vision_config": {
        **MIDSIZE["vision_config"],
        "depth": 2,
        "out_hidden_size": 1024,
        "deepstack_visual_indexes": [0],
    },
}
"""For episodes of thousands of frames on a CPU: attention weighs in it about as in the 8B.

How much it weighs beside the rest of a layer goes with tokens over width. Of 2,000 frames that is
16 here (16 tokens a pair of 64 x 64 px), and 19 in the 8B (76 a pair of 256 x 256 px).
"""


def write_wide_demo(directory: Path) -> None:
    """Writes the demo model's checkpoint anew: as wide as Qwen3-VL-4B, two layers deep, random.

    Tokenizer, frames and prompts are the demo's. Tokens over width, by which attention weighs, are
    16 times as many in the demo model itself.
    """
    shutil.copytree(DEMO_DIRECTORY, directory, dirs_exist_ok=True)
    config = json.loads((DEMO_DIRECTORY / "config.json").read_text())
    published = PUBLISHED["Qwen3-VL-4B"]
    config["text_config"] |= published["text_config"] | {
        "num_hidden_layers": 2,
        "vocab_size": config["text_config"]["vocab_size"],
    }
    config["vision_config"] |= {
        "depth": 2,
        "deepstack_visual_indexes": [0, 1],
        "out_hidden_size": published["text_config"]["hidden_size"],
    }
    write_config(config, directory)
    scorer = load_scorer(f"random:{directory}", device="cpu", dtype="float32", max_pairs=4)
    scorer.backbone.model.save_pretrained(directory)


def write_config(config: dict[str, object], directory: Path) -> None:
    """Writes what `random:<directory>` needs."""
    (directory / "config.json").write_text(json.dumps(config))


def write_checkpoint(config: dict[str, object], directory: Path) -> None:
    """Writes random bfloat16 weights, made on the GPU, as a checkpoint that can be quantized."""
    write_config(config, directory)
    scorer = load_scorer(f"random:{directory}", device="cuda", dtype="bfloat16", max_pairs=4)
    scorer.backbone.model.save_pretrained(directory)
    scorer.backbone.tokenizer.save_pretrained(directory)


def random_scorer(config: dict[str, object], **options: object) -> LocalScorer:
    """Loads random weights of an architecture; options as of `load_scorer`."""
    with tempfile.TemporaryDirectory() as directory:
        write_config(config, Path(directory))
        return load_scorer(f"random:{directory}", **options)


def random_video(
    frames: int, size: tuple[int, int], seed: int = 0
) -> tuple[NDArray[np.uint8], list[float]]:
    """Returns noise frames and their stamps in seconds."""
    rng = np.random.default_rng(seed)
    video = rng.integers(0, 256, (frames, *size, 3), dtype=np.uint8)
    return video, [index / FPS for index in range(frames)]
