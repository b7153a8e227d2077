"""Qwen3-VL, dense and mixture of experts.

The vision tower attends within one pair of frames only, and the video precedes the text, so both
the features of a pair and the keys and values of all pairs stay valid when the video grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from topreward_ros.method.prompt import Prompt
from topreward_ros.models.answer import log_prob_of_logits
from topreward_ros.models.backbone import Backbone, Chunk
from topreward_ros.models.contract import Capabilities, Rewind
from topreward_ros.models.families.deepstack import DeepStack
from topreward_ros.models.families.qwen3_vl_layout import Qwen3VLLayout, Span
from topreward_ros.models.families.qwen_patches import PatchGrid, patchify
from topreward_ros.models.families.qwen_tower import PairTower
from topreward_ros.models.families.single_token import single_token
from topreward_ros.models.runtime.kv_cache import PreallocatedCache
from topreward_ros.models.video_unit import VideoUnit

PAIRS_A_STEP = 16
"""Pairs of a recording that the vision tower encodes together; bounds its memory."""
LONGEST_EPISODE = 99999.9
"""Seconds; bounds how many tokens a time stamp takes."""


class Qwen3VL(Backbone):
    """A loaded `Qwen3VLForConditionalGeneration` or `Qwen3VLMoeForConditionalGeneration`."""

    capabilities = Capabilities(frames_per_unit=2, kv_append=True, rewind=Rewind.CROP)
    picture_mark = "<|image_pad|>"
    picture_place = "<|vision_start|><|image_pad|><|vision_end|>"

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        prompt: Prompt,
        frame_size: tuple[int, int],
    ) -> None:
        """Prepares layout and patches.

        Raises:
            ValueError: the frame size does not fit the patches, or the tokenizer not the prompt.
        """
        super().__init__(model, tokenizer, prompt, frame_size)
        vision = model.config.vision_config
        self.grid = PatchGrid(*frame_size, vision.patch_size, vision.spatial_merge_size)
        self.layout = Qwen3VLLayout(tokenizer, prompt, self.grid)
        self.answer_id = self.layout.answer_id
        self.unit_tokens = len(self.layout.pair(LONGEST_EPISODE))
        self._tower = PairTower(model.model.visual, self.grid.thw.to(self.device))
        read = getattr(vision, "deepstack_visual_indexes", ())
        self.deepstack_layers = sum(layer < vision.depth for layer in read)
        self._deepstack = DeepStack(model.model.language_model.layers[: self.deepstack_layers])

    def preamble(self) -> Chunk:
        """The text before the first frame."""
        return self._chunk(self.layout.preamble())

    def unit(self, unit: VideoUnit) -> Chunk:
        """Encodes one pair; its text is the mean time of its frames."""
        features, seen = self._tower(patchify(unit.frames, self.grid).to(self.device))
        return self._pair(unit, features, seen)

    def units(self, units: Sequence[VideoUnit]) -> list[Chunk]:
        """Encodes several pairs, many of them in one step of the vision tower."""
        chunks: list[Chunk] = []
        for first in range(0, len(units), PAIRS_A_STEP):
            group = units[first : first + PAIRS_A_STEP]
            patches = torch.cat([patchify(unit.frames, self.grid) for unit in group])
            features, seen = self._tower.encode(patches.to(self.device), len(group))
            parts = zip(
                features.chunk(len(group)),
                *(layer.chunk(len(group)) for layer in seen),
                strict=True,
            )
            chunks += [
                self._pair(unit, own, deepstack)
                for unit, (own, *deepstack) in zip(group, parts, strict=True)
            ]
        return chunks

    def fix_shapes(self) -> None:
        """Lets the vision tower run in fixed shapes, which a GPU records."""
        self._tower.fixed = True

    def suffix(self, instruction: str) -> Chunk:
        """The text after the last frame, up to the answer."""
        return self._chunk(self.layout.suffix(instruction))

    def hidden(
        self,
        chunks: Sequence[Chunk],
        starts: Sequence[int],
        cache: PreallocatedCache | None,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """Runs the inner language model with explicit positions.

        The public forward would place a new chunk by the `rope_deltas` of an older prompt.
        """
        positions = torch.cat(
            [chunk.positions + start for chunk, start in zip(chunks, starts, strict=True)], dim=1
        )
        with self._deepstack.adding(_joined(chunks)):
            output = self.model.model.language_model(
                inputs_embeds=torch.cat([chunk.embeds for chunk in chunks])[None],
                position_ids=positions[:, None],
                attention_mask=mask,
                past_key_values=cache,
                use_cache=cache is not None,
            )
        return output.last_hidden_state[0]

    def reference_log_prob(self, video: Sequence[VideoUnit], instruction: str) -> float:
        """Scores a whole video by the public forward; positions are transformers' own."""
        spans = [
            self.layout.preamble(),
            *[self.layout.pair(_mean(unit.stamps)) for unit in video],
            self.layout.suffix(instruction),
        ]
        thw = self.grid.thw.clone()
        thw[0, 0] = len(video)
        visual = torch.cat([span.visual for span in spans])[None]
        output = self.model(
            input_ids=torch.cat([span.ids for span in spans])[None].to(self.device),
            pixel_values_videos=torch.cat([patchify(unit.frames, self.grid) for unit in video]).to(
                self.device
            ),
            video_grid_thw=thw.to(self.device),
            mm_token_type_ids=(2 * visual.int()).to(self.device),
            use_cache=False,
            logits_to_keep=1,
        )
        return log_prob_of_logits(output.logits[0, -1], self.answer_id)

    def picture_text(self) -> str:
        """One placeholder a token; the chat template brings the vision markers around them."""
        return self.picture_mark * self.grid.tokens

    def picture_inputs(
        self, pictures: Sequence[NDArray[np.uint8]], ids: torch.Tensor
    ) -> dict[str, object]:
        """A picture is a pair of equal frames, without a time."""
        patches = [patchify(np.stack([picture] * 2), self.grid) for picture in pictures]
        marks = ids == single_token(self.tokenizer, self.picture_mark)
        return {
            "pixel_values": torch.cat(patches).to(self.device, self.model.dtype),
            "image_grid_thw": self.grid.thw.repeat(len(pictures), 1).to(self.device),
            "mm_token_type_ids": marks.int(),
        }

    def _pair(self, unit: VideoUnit, features: torch.Tensor, seen: Sequence[torch.Tensor]) -> Chunk:
        chunk = self._chunk(self.layout.pair(_mean(unit.stamps)))
        chunk.embeds[chunk.visual] = features.to(chunk.embeds.dtype)
        return replace(chunk, deepstack=tuple(_widened(layer, chunk.visual) for layer in seen))

    def _chunk(self, span: Span) -> Chunk:
        embed = self.model.get_input_embeddings()
        return Chunk(
            embed(span.ids.to(self.device)),
            span.positions.to(self.device),
            span.advance,
            span.visual.to(self.device),
        )


def _mean(stamps: Sequence[float]) -> float:
    return sum(stamps) / len(stamps)


def _widened(features: torch.Tensor, visual: torch.Tensor) -> torch.Tensor:
    wide = features.new_zeros(len(visual), features.shape[-1])
    wide[visual] = features
    return wide


def _joined(chunks: Sequence[Chunk]) -> list[torch.Tensor]:
    """Returns what is to be added after each of the first layers, over all chunks."""
    layers = max(len(chunk.deepstack) for chunk in chunks)
    return [
        torch.cat([
            chunk.deepstack[layer] if chunk.deepstack else torch.zeros_like(chunk.embeds)
            for chunk in chunks
        ])
        for layer in range(layers)
    ]  # fmt: skip
