"""The model families that can be loaded: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module

from topreward_ros.models.backbone import Backbone


@dataclass(frozen=True)
class Family:
    """Where a family's pieces are.

    Attributes:
        architecture: the class of transformers that loads its checkpoints.
        backbone: module and class in this package.
        frame_size: (height, width) px used where nobody asks for another.
        unquantized: names of modules that stay in full precision.
        placeholders: the token of each placeholder that the configuration names by its id.
    """

    architecture: str
    backbone: str
    frame_size: tuple[int, int] = (256, 256)
    unquantized: tuple[str, ...] = ("model.visual", "lm_head")
    placeholders: Mapping[str, str] = field(
        default_factory=lambda: {
            "video_token_id": "<|video_pad|>",
            "image_token_id": "<|image_pad|>",
        }
    )

    def load_backbone_class(self) -> type[Backbone]:
        """Imports the family's module, so that only what is used is loaded."""
        module, name = self.backbone.split(":")
        return getattr(import_module(f"topreward_ros.models.families.{module}"), name)


GATED = ("model.visual", "lm_head", "in_proj_a", "in_proj_b", "shared_expert_gate")
"""With gates of a few rows: they steer much, weigh nothing, and do not fit 4-bit blocks."""
TOWER = ("model.vision_tower", "model.multi_modal_projector", "lm_head")

FAMILIES: dict[str, Family] = {
    "qwen3_vl": Family("Qwen3VLForConditionalGeneration", "qwen3_vl:Qwen3VL"),
    "qwen3_vl_moe": Family("Qwen3VLMoeForConditionalGeneration", "qwen3_vl:Qwen3VL"),
    "qwen3_5": Family("Qwen3_5ForConditionalGeneration", "qwen3_5:Qwen35", unquantized=GATED),
    "qwen3_5_moe": Family(
        "Qwen3_5MoeForConditionalGeneration", "qwen3_5:Qwen35", unquantized=GATED
    ),
    "internvl": Family(
        "InternVLForConditionalGeneration",
        "internvl:InternVL",
        (448, 448),
        TOWER,
        {"image_token_id": "<IMG_CONTEXT>"},
    ),
    "molmo2": Family(
        "Molmo2ForConditionalGeneration",
        "molmo2:Molmo2",
        (378, 378),
        TOWER,
        {"image_patch_id": "<im_patch>"},
    ),
}
"""By the `model_type` of a checkpoint's config.json."""
