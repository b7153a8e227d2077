"""Families whose tokens count their positions in one line, and whose prompt is written as text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import Cache

from topreward_ros.method.prompt import Prompt
from topreward_ros.models.answer import log_prob_of_logits
from topreward_ros.models.backbone import Backbone, Chunk
from topreward_ros.models.families.single_token import single_token
from topreward_ros.models.video_unit import VideoUnit

LARGEST_NUMBER = 999999
"""Of a unit, and of seconds; bounds how many tokens the text before a frame takes."""


class FlatBackbone(Backbone):
    """One frame a unit, written as text of the family's own with special tokens for the picture.

    Attributes:
        frame_tokens: placeholders that a frame's features fill.
    """

    picture: tuple[str, ...]
    """The special tokens of a picture; the first is the placeholder of one feature."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        prompt: Prompt,
        frame_size: tuple[int, int],
        frame_tokens: int,
    ) -> None:
        """Looks the tokens up.

        Raises:
            ValueError: the frame size is not the model's, or the tokenizer lacks a token.
        """
        super().__init__(model, tokenizer, prompt, frame_size)
        sides = tuple(model.config.vision_config.image_size)
        if frame_size != sides:
            raise ValueError(
                f"The frame size {frame_size[0]}x{frame_size[1]} does not fit this model, whose "
                f"vision tower reads {sides[0]}x{sides[1]}; set frame_size to that, or to 0x0."
            )
        self.frame_tokens = frame_tokens
        picture = [single_token(tokenizer, token) for token in self.picture]
        self._picture_ids = torch.tensor(picture, device=self.device)
        self.answer_id = single_token(tokenizer, prompt.answer)
        self.unit_tokens = len(self._ids(self.frame_text(LARGEST_NUMBER, LARGEST_NUMBER)))

    @abstractmethod
    def frame_text(self, number: int, seconds: float) -> str:
        """A frame as the processor writes it, with what separates it from the one before.

        Args:
            number: of the frame in the episode, from 0.
            seconds: since the episode's start.
        """

    @abstractmethod
    def before_video(self) -> str:
        """The text before the first frame."""

    @abstractmethod
    def after_video(self, instruction: str) -> str:
        """The text after the last frame, up to the answer."""

    @abstractmethod
    def embed_frame(self, embeds: torch.Tensor, unit: VideoUnit) -> torch.Tensor:
        """Returns (frame_tokens, hidden) features, given the placeholders' own embeddings."""

    @abstractmethod
    def reference_inputs(self, video: Sequence[VideoUnit], ids: torch.Tensor) -> dict[str, object]:
        """What the public forward takes beside the (1, n) token ids of a whole prompt."""

    def preamble(self) -> Chunk:
        """The text before the first frame."""
        return self._chunk(self._ids(self.before_video()))

    def unit(self, unit: VideoUnit) -> Chunk:
        """Encodes one frame."""
        ids = self._ids(self.frame_text(unit.number, unit.stamps[0]))
        chunk, held = self._chunk(ids), ids == self._picture_ids[0]
        placeholders = chunk.embeds[held]
        chunk.embeds[held] = self.embed_frame(placeholders, unit).to(placeholders)
        return chunk

    def suffix(self, instruction: str) -> Chunk:
        """The text after the last frame, up to the answer."""
        return self._chunk(self._ids(self.after_video(instruction)))

    def hidden(
        self,
        chunks: Sequence[Chunk],
        starts: Sequence[int],
        cache: Cache | None,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """Runs the inner language model with explicit positions."""
        positions = torch.cat(
            [chunk.positions + start for chunk, start in zip(chunks, starts, strict=True)], dim=1
        )
        output = self.model.model.language_model(
            inputs_embeds=torch.cat([chunk.embeds for chunk in chunks])[None],
            position_ids=positions,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return output.last_hidden_state[0]

    def reference_log_prob(self, video: Sequence[VideoUnit], instruction: str) -> float:
        """Scores a whole video by the public forward; its text is tokenized in one piece."""
        frames = [self.frame_text(unit.number, unit.stamps[0]) for unit in video]
        text = self.before_video() + "".join(frames) + self.after_video(instruction)
        ids = self._ids(text)[None]
        output = self.model(
            input_ids=ids, use_cache=False, logits_to_keep=1, **self.reference_inputs(video, ids)
        )
        return log_prob_of_logits(output.logits[0, -1], self.answer_id)

    def _chunk(self, ids: torch.Tensor) -> Chunk:
        return Chunk(
            self.model.get_input_embeddings()(ids),
            torch.arange(len(ids), device=self.device)[None],
            len(ids),
            torch.isin(ids, self._picture_ids),
        )

    def _ids(self, text: str) -> torch.Tensor:
        return torch.tensor(
            self.tokenizer.encode(text, add_special_tokens=False), device=self.device
        )
