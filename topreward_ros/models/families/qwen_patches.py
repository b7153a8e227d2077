"""Pixels of a frame pair as the patches that Qwen's vision tower reads.

Bit-identical to transformers' `Qwen3VLVideoProcessor` on frames that already have their final size
(`video/resizing.py` is the only place that resizes), without torchvision and without its pixel
budget, which would shrink old frames as the video grows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class PatchGrid:
    """How a frame of one size is cut into patches.

    Attributes:
        height: frame height in px.
        width: frame width in px.
        patch: side of a patch in px.
        merge: patches along each side of the square that becomes one visual token.
        temporal: frames in a patch.
    """

    height: int
    width: int
    patch: int
    merge: int
    temporal: int = 2

    def __post_init__(self) -> None:
        side = self.patch * self.merge
        if self.height < side or self.width < side or self.height % side or self.width % side:
            raise ValueError(
                f"The frame size {self.height}x{self.width} does not fit this model; height and "
                f"width must be multiples of {side}, for example "
                f"{nearest_multiple(self.height, side)}x{nearest_multiple(self.width, side)}."
            )

    @property
    def rows(self) -> int:
        """Patches from top to bottom."""
        return self.height // self.patch

    @property
    def columns(self) -> int:
        """Patches from left to right."""
        return self.width // self.patch

    @property
    def thw(self) -> torch.Tensor:
        """(1, 3) int64: the `video_grid_thw` of one unit of `temporal` frames."""
        return torch.tensor([[1, self.rows, self.columns]])

    @property
    def token_rows(self) -> int:
        """Visual tokens from top to bottom."""
        return self.rows // self.merge

    @property
    def token_columns(self) -> int:
        """Visual tokens from left to right."""
        return self.columns // self.merge

    @property
    def tokens(self) -> int:
        """Visual tokens of one unit."""
        return self.token_rows * self.token_columns


def nearest_multiple(pixels: int, side: int) -> int:
    """Returns the multiple of `side` nearest to `pixels`, at least one `side`, as Qwen rounds."""
    return max(side, round(pixels / side) * side)


def patchify(frames: NDArray[np.uint8], grid: PatchGrid) -> torch.Tensor:
    """Cuts one unit of frames into patches.

    Args:
        frames: (temporal, height, width, 3) uint8 RGB.
        grid: the cut.

    Returns:
        (rows * columns, 3 * temporal * patch * patch) float32 in -1..1, in the order (merged row,
        merged column, row in merge, column in merge) by (channel, frame, y, x).
    """
    if frames.shape != (grid.temporal, grid.height, grid.width, 3) or frames.dtype != np.uint8:
        raise ValueError(
            f"Got frames of shape {frames.shape} and type {frames.dtype}; expected "
            f"({grid.temporal}, {grid.height}, {grid.width}, 3) of uint8."
        )
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).float().sub_(127.5).div_(127.5)
    cut = pixels.view(
        grid.temporal,
        grid.token_rows,
        grid.merge,
        grid.patch,
        grid.token_columns,
        grid.merge,
        grid.patch,
        3,
    )
    ordered = cut.permute(1, 4, 2, 5, 7, 0, 3, 6)
    return ordered.reshape(grid.rows * grid.columns, -1)
