"""The demo checkpoint on disk, as the package loads it."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import Qwen3VLForConditionalGeneration

from tools.training.model import GRID
from topreward_ros.video.motion import DEFAULT_THRESHOLD

SETTINGS = {
    "success_threshold": None,
    "sample_rate": 2.0,
    "motion_threshold": DEFAULT_THRESHOLD,
    "frame_size": [GRID.height, GRID.width],
    "prompt_form": "raw",
    "note": "demo model: knows only the simulated SO-101 scene",
}
"""What the checkpoint says of its use; `evaluate_demo` chooses the threshold."""


def save_checkpoint(model: Qwen3VLForConditionalGeneration, folder: Path) -> None:
    """Writes `config.json` and `model.safetensors`; weights as float16 to halve the file."""
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    partial = folder / "model.safetensors.part"
    save_file(weights, partial, metadata={"format": "pt"})
    partial.chmod(0o644)
    partial.rename(folder / "model.safetensors")
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    settings = folder / "topreward.json"
    if not settings.exists():
        settings.write_text(json.dumps(SETTINGS, indent=2) + "\n")


def load_weights(model: Qwen3VLForConditionalGeneration, checkpoint: Path) -> None:
    """Reads the weights that `save_checkpoint` wrote into a model."""
    weights = load_file(checkpoint / "model.safetensors")
    model.load_state_dict({name: value.float() for name, value in weights.items()})
