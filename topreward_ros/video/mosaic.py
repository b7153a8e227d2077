"""Several cameras in one picture, because the model watches one video."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from topreward_ros.video.resizing import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

INSET_SCALE = 1 / 3
"""Side of an inset, relative to the main picture."""


class LayoutError(ValueError):
    """A layout that does not exist, or cannot hold that many cameras."""


class Layout(str, Enum):
    """How the cameras are arranged."""

    ROW = "row"
    """Side by side, in the order of the cameras."""
    COLUMN = "column"
    """One above the other."""
    GRID = "grid"
    """As square as possible, row by row."""
    MAIN_INSET = "main_inset"
    """The first camera in full, up to four others in its corners, from the bottom right on."""

    @classmethod
    def named(cls, name: str) -> Layout:
        """Returns the layout of that name.

        Raises:
            LayoutError: there is none.
        """
        try:
            return cls(name)
        except ValueError:
            known = ", ".join(layout.value for layout in cls)
            raise LayoutError(f"Layout {name!r} does not exist; expected one of {known}.") from None

    def check(self, cameras: int) -> None:
        """Raises LayoutError where this layout cannot hold that many cameras."""
        most = 5 if self is Layout.MAIN_INSET else 16
        if not 1 <= cameras <= most:
            raise LayoutError(
                f"Layout {self.value!r} holds 1 to {most} cameras, not {cameras}; "
                "name fewer cameras or choose another layout."
            )


def tile(frames: Sequence[NDArray[np.uint8]], layout: Layout | str) -> NDArray[np.uint8]:
    """Puts pictures into one.

    All cells of a row, column or grid are as high as the highest and as wide as the widest
    picture; each picture fills its cell as far as its aspect ratio allows, in the middle, on black.

    Args:
        frames: uint8 RGB, each of shape (height, width, 3), in the order of the cameras.
        layout: a `Layout` or its name.

    Returns:
        uint8 RGB of shape (height, width, 3); the picture itself where there is only one.

    Raises:
        LayoutError: no such layout, or not for that many pictures.
    """
    layout = Layout.named(layout)
    layout.check(len(frames))
    if len(frames) == 1:
        return frames[0]
    if layout is Layout.MAIN_INSET:
        return _with_insets(frames[0], frames[1:])
    return _cells(frames, _columns(layout, len(frames)))


def _columns(layout: Layout, count: int) -> int:
    if layout is Layout.ROW:
        return count
    return 1 if layout is Layout.COLUMN else math.ceil(math.sqrt(count))


def _cells(frames: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    height = max(frame.shape[0] for frame in frames)
    width = max(frame.shape[1] for frame in frames)
    rows = math.ceil(len(frames) / columns)
    canvas = np.zeros((rows * height, columns * width, 3), np.uint8)
    for index, frame in enumerate(frames):
        row, column = divmod(index, columns)
        fitted = _fit(frame, height, width)
        top = row * height + (height - fitted.shape[0]) // 2
        left = column * width + (width - fitted.shape[1]) // 2
        canvas[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return canvas


def _with_insets(main: NDArray[np.uint8], others: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    canvas = main.copy()
    height, width = main.shape[:2]
    for index, frame in enumerate(others):
        inset = _fit(frame, max(1, round(height * INSET_SCALE)), max(1, round(width * INSET_SCALE)))
        at_bottom, at_right = index in (0, 1), index in (0, 2)
        top = height - inset.shape[0] if at_bottom else 0
        left = width - inset.shape[1] if at_right else 0
        canvas[top : top + inset.shape[0], left : left + inset.shape[1]] = inset
    return canvas


def _fit(frame: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resizes a picture to the largest of its aspect ratio within height x width pixels."""
    scale = min(height / frame.shape[0], width / frame.shape[1])
    return resize(
        frame, (max(1, round(frame.shape[0] * scale)), max(1, round(frame.shape[1] * scale)))
    )
