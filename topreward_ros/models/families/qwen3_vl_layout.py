"""Token ids and rotary positions of Qwen3-VL's prompt, built piece by piece.

transformers' processor and `get_rope_index` only make whole prompts; an update that appends one
pair of frames needs the pieces. Concatenated, the pieces are the ids that the authors' code gives
to the model, by the processor of transformers 4.57.1; published figures come from that form. The
processor of 5.10 and later expands the placeholder alone, so a chat turn keeps its own pair of
vision markers around the whole video: two tokens more, 0.38 nat off. That form is not used.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from topreward_ros.method.prompt import Prompt
from topreward_ros.models.families.qwen_patches import PatchGrid
from topreward_ros.models.families.single_token import single_token

POSITION_AXES = 3
"""Interleaved MRoPE: time, height, width."""


@dataclass(frozen=True)
class Span:
    """A run of tokens that is appended as a whole.

    Attributes:
        ids: (n,) int64 token ids.
        positions: (3, n) int64, relative to the position at which the span starts.
        advance: by how much the position of whatever follows moves on.
        visual: (n,) bool, where a vision feature replaces the token's embedding.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    advance: int
    visual: torch.Tensor

    def __len__(self) -> int:
        return self.ids.numel()


class Qwen3VLLayout:
    """Spans of one prompt form at one frame size."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompt: Prompt, grid: PatchGrid) -> None:
        """Looks the special tokens up.

        Args:
            tokenizer: the checkpoint's own.
            prompt: the text around the video.
            grid: how a frame becomes visual tokens.

        Raises:
            ValueError: the tokenizer lacks a token that the prompt needs.
        """
        self._tokenizer = tokenizer
        self._prompt = prompt
        self._grid = grid
        self._vision_start = single_token(tokenizer, "<|vision_start|>")
        self._vision_end = single_token(tokenizer, "<|vision_end|>")
        self._video_pad = single_token(tokenizer, "<|video_pad|>")
        self.answer_id = single_token(tokenizer, prompt.answer)

    def preamble(self) -> Span:
        """The text before the first frame."""
        return self._text(self._prompt.before_video)

    def pair(self, seconds: float) -> Span:
        """One pair of frames.

        Args:
            seconds: mean time of the two frames, since the episode's start.
        """
        stamp = self._encode(f"<{seconds:.1f} seconds>")
        start = len(stamp) + 1
        rows, columns = self._grid.token_rows, self._grid.token_columns
        ids = [*stamp, self._vision_start, *[self._video_pad] * self._grid.tokens, self._vision_end]
        after = start + max(rows, columns)
        positions = torch.empty(POSITION_AXES, len(ids), dtype=torch.long)
        positions[:, :start] = torch.arange(start)
        # All visual tokens of a pair share one time; rows and columns count from the same start.
        seen = slice(start, start + self._grid.tokens)
        positions[0, seen] = start
        positions[1, seen] = start + torch.arange(rows).repeat_interleave(columns)
        positions[2, seen] = start + torch.arange(columns).repeat(rows)
        positions[:, -1] = after
        visual = torch.zeros(len(ids), dtype=torch.bool)
        visual[seen] = True
        return Span(torch.tensor(ids), positions, after + 1, visual)

    def suffix(self, instruction: str) -> Span:
        """The text after the last frame, without the answer."""
        return self._text(self._prompt.after_video(instruction))

    def _text(self, text: str) -> Span:
        ids = torch.tensor(self._encode(text))
        positions = torch.arange(len(ids)).expand(POSITION_AXES, -1)
        return Span(ids, positions, len(ids), torch.zeros(len(ids), dtype=torch.bool))

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False)
