"""What a model family brings: its prompt as chunks of embeddings, and its language model.

Everything that is the same for all families (streaming, memory, prefixes) is written once against
this interface; a new family is one module that implements it (see CONTRIBUTING).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from topreward_ros.method.prompt import ChatMarkup, Prompt
from topreward_ros.models.answer import answer_log_probs
from topreward_ros.models.contract import Capabilities
from topreward_ros.models.runtime.kv_cache import PreallocatedCache
from topreward_ros.models.video_unit import VideoUnit

MAX_SUFFIX_TOKENS = 1152
"""Room for the text after the video: the question and the longest instruction that is taken."""


@dataclass(frozen=True)
class Chunk:
    """Tokens that enter the language model together.

    Attributes:
        embeds: (n, hidden) input embeddings, vision features in place.
        positions: (axes, n) int64 rotary positions, relative to the chunk's start.
        advance: by how much the position of whatever follows moves on.
        visual: (n,) bool, which tokens are the picture's.
        deepstack: for each of the first language layers, (n, hidden) to be added to its output,
            zero where there is no picture.
    """

    embeds: torch.Tensor
    positions: torch.Tensor
    advance: int
    visual: torch.Tensor
    deepstack: tuple[torch.Tensor, ...] = ()

    def __len__(self) -> int:
        return self.embeds.shape[0]


class Backbone(ABC):
    """A loaded model of one family.

    Attributes:
        model: the transformers model, in evaluation mode.
        tokenizer: the checkpoint's own.
        prompt: the text around the video.
        frame_size: (height, width) in px.
        answer_id: token id of the prompt's answer.
        unit_tokens: tokens of one unit of frames at most, time stamp included.
    """

    capabilities: Capabilities
    markup = ChatMarkup()
    """How the family marks the turns of a conversation."""
    picture_mark: str
    """The placeholder of one picture in the family's chat template."""
    picture_place: str
    """What a chat template writes of one picture, where a checkpoint brings no template."""
    deepstack_layers = 0
    """Language layers to whose output a unit adds features."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        prompt: Prompt,
        frame_size: tuple[int, int],
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.prompt = prompt
        self.frame_size = frame_size
        self.answer_id: int
        self.unit_tokens: int

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return self.model.device

    @property
    def text_config(self) -> object:
        """The language model's part of the configuration."""
        return self.model.config.get_text_config()

    @abstractmethod
    def preamble(self) -> Chunk:
        """The text before the first frame."""

    @abstractmethod
    def unit(self, unit: VideoUnit) -> Chunk:
        """Encodes one unit of frames, with the text that goes before it."""

    def units(self, units: Sequence[VideoUnit]) -> list[Chunk]:
        """Encodes several units of a recording; a family may do it faster than one by one."""
        return [self.unit(unit) for unit in units]

    @abstractmethod
    def suffix(self, instruction: str) -> Chunk:
        """The text after the last frame, up to the answer."""

    @abstractmethod
    def hidden(
        self,
        chunks: Sequence[Chunk],
        starts: Sequence[int],
        cache: PreallocatedCache | None,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """Runs the language model over chunks.

        Args:
            chunks: what to append, in order.
            starts: the position at which each chunk starts.
            cache: what came before; takes the chunks' tokens.
            mask: (1, 1, n, tokens held + n) additive float mask; None: causal.

        Returns:
            (n, hidden) final hidden states.
        """

    def fix_shapes(self) -> None:  # noqa: B027 - a family may have nothing to fix
        """Lets `unit` run in fixed shapes, which a GPU records; does nothing where that is not."""

    @abstractmethod
    def reference_log_prob(self, video: Sequence[VideoUnit], instruction: str) -> float:
        """Scores a whole video by the model's public forward, sharing nothing with streaming."""

    def start_of_text(self) -> str:
        """What the family's processor puts before every prompt."""
        return ""

    @abstractmethod
    def picture_text(self) -> str:
        """What the family's processor makes of one `picture_mark`."""

    @abstractmethod
    def picture_inputs(
        self, pictures: Sequence[NDArray[np.uint8]], ids: torch.Tensor
    ) -> dict[str, object]:
        """What the public forward takes of pictures, beside the (1, n) token ids of the prompt.

        Args:
            pictures: (height, width, 3) uint8 RGB of the frame size, at least one.
            ids: of the whole prompt, with `picture_text` in place of the marks.
        """

    def new_cache(self, capacity: int) -> PreallocatedCache:
        """Returns an empty cache for `capacity` tokens."""
        return PreallocatedCache(self.text_config.num_hidden_layers, capacity)

    def cache_bytes(self, tokens: int) -> int:
        """Returns the memory that a session over so many tokens takes beside the model."""
        return tokens * self.text_config.num_hidden_layers * self.layer_token_bytes()

    def layer_token_bytes(self) -> int:
        """Returns the memory of one token's keys and values in one attention layer."""
        text = self.text_config
        size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        return 2 * text.num_key_value_heads * size * self.model.dtype.itemsize

    def answer(self, hidden: torch.Tensor) -> torch.Tensor:
        """Returns (n,) log-probabilities of the answer for (n, hidden) states."""
        return answer_log_probs(hidden, self.model.lm_head, self.answer_id)
