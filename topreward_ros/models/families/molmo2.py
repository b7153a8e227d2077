"""Molmo2.

The tokens of all frames attend to each other in both directions, so a new frame changes what the
language model makes of every old one: only the vision tower's features can be kept. The video is
written as `Molmo2Processor` writes it, and stands before the user's turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import Cache

from topreward_ros.method.prompt import Prompt
from topreward_ros.models.backbone import Chunk
from topreward_ros.models.contract import Capabilities, Rewind
from topreward_ros.models.families.flat_backbone import FlatBackbone
from topreward_ros.models.video_unit import VideoUnit

POOLING = 3
"""Patches along each side of a square that becomes one token, as in `Molmo2VideoProcessor`."""
PICTURE_POOLING = 2
"""The same of a picture that is no frame of a video, as in `Molmo2ImageProcessor`."""
VIEWS = 2
"""Of a picture: the whole, and its tiles. A picture of the tower's size is its own only tile."""


class Molmo2(FlatBackbone):
    """A loaded `Molmo2ForConditionalGeneration`."""

    capabilities = Capabilities(frames_per_unit=1, kv_append=False, rewind=Rewind.CROP)
    picture = ("<im_patch>", "<frame_start>", "<frame_end>")
    picture_mark = "<|image|>"
    picture_place = picture_mark
    picture_tokens = ("<im_patch>", "<im_col>", "<im_start>", "<low_res_im_start>", "<im_end>")
    """The special tokens of a picture that is no frame of a video."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        prompt: Prompt,
        frame_size: tuple[int, int],
    ) -> None:
        """Prepares the pooling of patches.

        Raises:
            ValueError: the frame size is not the model's, or the tokenizer lacks a token.
        """
        self._patch = model.config.vision_config.patch_size
        rows, columns = (side // self._patch for side in frame_size)
        self._windows = pooling_windows(rows, columns).to(model.device)
        self._grid = [-(-rows // POOLING), -(-columns // POOLING)]
        super().__init__(model, tokenizer, prompt, frame_size, len(self._windows))

    def frame_text(self, number: int, seconds: float) -> str:
        """`0.5 <frame_start>…<frame_end>`, with a space before all but the first."""
        space = " " if number else ""
        patches = self.picture[0] * self.frame_tokens
        return f"{space}{seconds:.1f} <frame_start>{patches}<frame_end>"

    def start_of_text(self) -> str:
        """The token that starts every prompt."""
        return self.tokenizer.bos_token or self.tokenizer.eos_token

    def before_video(self) -> str:
        """The token that starts every prompt."""
        return self.start_of_text()

    def after_video(self, instruction: str) -> str:
        """The user's turn, up to the answer."""
        return self.prompt.before_video + self.prompt.after_video(instruction)

    def embed_frame(self, embeds: torch.Tensor, unit: VideoUnit) -> torch.Tensor:
        """Returns the vision tower's features on top of the placeholders."""
        return embeds + self.model.get_video_features(**self._pixels([unit])).pooler_output[0]

    def reference_inputs(self, video: Sequence[VideoUnit], ids: torch.Tensor) -> dict[str, object]:
        """All frames' patches, and which tokens see each other."""
        return {
            **self._pixels(video),
            "mm_token_type_ids": torch.isin(ids, self._picture_ids).int(),
        }

    def hidden(
        self,
        chunks: Sequence[Chunk],
        starts: Sequence[int],
        cache: Cache | None,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """Runs the inner language model; all pictures of a step see each other."""
        visual = torch.cat([chunk.visual for chunk in chunks])
        if mask is None and visual.any():
            held = cache.length if cache is not None else 0
            mask = picture_mask(held, visual, chunks[0].embeds.dtype)
        return super().hidden(chunks, starts, cache, mask)

    def cache_bytes(self, tokens: int) -> int:
        """Returns the memory that a session over so many tokens takes beside the model."""
        return super().cache_bytes(tokens) + tokens**2 * self.model.dtype.itemsize

    def picture_text(self) -> str:
        """Rows of both views; those of the tiles end with a token of their own."""
        rows, columns = self._picture_grid()
        line = self.picture[0] * columns
        return (
            f"<low_res_im_start>{line * rows}<im_end><im_start>{f'{line}<im_col>' * rows}<im_end>"
        )

    def picture_inputs(
        self, pictures: Sequence[NDArray[np.uint8]], ids: torch.Tensor
    ) -> dict[str, object]:
        """All pictures' patches in both views, and which tokens see each other."""
        patches = self._patches(pictures).repeat_interleave(VIEWS, dim=0)
        sides = [side // self._patch for side in self.frame_size]
        windows = pooling_windows(*sides, PICTURE_POOLING).to(self.device)
        tokens = self.tokenizer.convert_tokens_to_ids(list(self.picture_tokens))
        count = len(pictures)
        return {
            "pixel_values": patches,
            "image_token_pooling": self._in_batch(windows, len(patches)),
            "image_grids": torch.tensor([self._picture_grid() * 2] * count, device=self.device),
            "image_num_crops": torch.full((count,), VIEWS, device=self.device),
            "mm_token_type_ids": torch.isin(ids, torch.tensor(tokens, device=self.device)).int(),
        }

    def _picture_grid(self) -> list[int]:
        return [-(-side // self._patch // PICTURE_POOLING) for side in self.frame_size]

    def _pixels(self, video: Sequence[VideoUnit]) -> dict[str, torch.Tensor]:
        patches = self._patches([unit.frames[0] for unit in video])
        return {
            "pixel_values_videos": patches,
            "video_token_pooling": self._in_batch(self._windows, len(video)),
            "video_grids": torch.tensor([[len(video), *self._grid]], device=self.device),
        }

    def _patches(self, pictures: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        """Returns (pictures, patches, values), normalized."""
        frames = torch.stack([torch.from_numpy(picture) for picture in pictures])
        pixels = frames.to(self.device, torch.float32).sub_(127.5).div_(127.5)
        count, height, width, channels = pixels.shape
        rows, columns = height // self._patch, width // self._patch
        cut = pixels.view(count, rows, self._patch, columns, self._patch, channels).transpose(2, 3)
        return cut.reshape(count, rows * columns, -1)

    def _in_batch(self, windows: torch.Tensor, count: int) -> torch.Tensor:
        """Returns the windows of `count` pictures, whose patches are counted through."""
        rows, columns = (side // self._patch for side in self.frame_size)
        first = torch.arange(count, device=self.device)[:, None, None] * rows * columns
        return torch.where(windows < 0, -1, windows + first).flatten(0, 1)


def pooling_windows(rows: int, columns: int, pooling: int = POOLING) -> torch.Tensor:
    """Returns which patches become one token, as transformers' `arange_for_pooling`.

    Args:
        rows: patches from top to bottom.
        columns: patches from left to right.
        pooling: patches along each side of a window.

    Returns:
        (tokens, pooling**2) int64 indices of patches; -1 beyond the picture's edges.
    """
    down, across = -rows % pooling, -columns % pooling
    edges = (across // 2, across - across // 2, down // 2, down - down // 2)
    grid = functional.pad(torch.arange(rows * columns).view(rows, columns), edges, value=-1)
    windows = grid.unfold(0, pooling, pooling).unfold(1, pooling, pooling)
    return windows.reshape(-1, pooling**2)


def picture_mask(held: int, visual: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Returns the mask of a step in which text sees what is before it, and pictures all pictures.

    Args:
        held: tokens in the cache, all of them text.
        visual: (n,) bool, which tokens of the step are the pictures'.
        dtype: of the model.

    Returns:
        (1, 1, n, held + n), 0 where a token is seen, the type's minimum elsewhere.
    """
    step = len(visual)
    seen = torch.ones(step, held + step, dtype=torch.bool, device=visual.device).tril(held)
    seen[:, held:] |= visual[:, None] & visual
    mask = torch.zeros(seen.shape, dtype=dtype, device=visual.device)
    return mask.masked_fill_(~seen, torch.finfo(dtype).min)[None, None]
