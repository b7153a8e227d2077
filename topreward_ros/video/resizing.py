"""Frames to one size. The only place that resizes, so that every frame is treated alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray


def resize(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resizes a picture, stretching it where the aspect ratios differ.

    Bicubic with antialiasing on 8-bit values, as the authors' pipeline does; within one grey level
    of `torch.nn.functional.interpolate(mode="bicubic", antialias=True)` on uint8.

    Args:
        frame: uint8 RGB of shape (height, width, 3).
        size: (height, width) in pixels.

    Returns:
        uint8 RGB of shape (*size, 3); the frame itself where it has that size already.

    Raises:
        ValueError: the frame is not such a picture, or the size has no pixels.
    """
    height, width = size
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
        raise ValueError(
            f"A frame of shape {frame.shape} and type {frame.dtype} cannot be resized; expected "
            "uint8 of shape (height, width, 3)."
        )
    if height < 1 or width < 1:
        raise ValueError(f"Frame size {size} has no pixels; expected (height, width) above zero.")
    if frame.shape[:2] == (height, width):
        return frame
    image = Image.fromarray(np.ascontiguousarray(frame))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def within_width(picture: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Returns a picture, uint8 RGB (H, W, 3), made as narrow as `width` px where it is wider."""
    height, own = picture.shape[:2]
    if own <= width:
        return picture
    return resize(picture, (max(1, round(height * width / own)), width))
