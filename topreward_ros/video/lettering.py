"""Text in pictures, in the fonts that come with Pillow and matplotlib.

OpenCV's own fonts know ASCII only, and an instruction may be in any language. Lines of text are
kept for the next picture, because they change less often than the pictures do.
"""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colour = tuple[int, int, int]


_ALPHABETS = "DejaVuSans.ttf"
_FALLBACKS = (
    "NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallback.ttf",
)
"""Fonts that are taken where the system has them, for languages that the bundled ones lack."""


def text_width(text: str, size: int) -> float:
    """Returns the width in pixels of a line of text."""
    return _font(_font_file(text), size).getlength(text)


def draw_text(
    canvas: NDArray[np.uint8],
    text: str,
    position: tuple[int, int],
    size: int,
    colour: Colour,
    *,
    bold: float = 0.0,
) -> None:
    """Writes a line of text; what lies outside of the picture is left out.

    Args:
        canvas: uint8 RGB of shape (height, width, 3), written to.
        text: one line.
        position: (x, y) in pixels of the upper left corner, not below zero.
        size: pixels.
        colour: RGB.
        bold: pixels that letters are thickened by, in fractions as well.
    """
    x, y = position
    keep, ink = _letters(text, size, colour, round(bold, 2))
    area = canvas[y : y + keep.shape[0], x : x + keep.shape[1]]
    height, width = area.shape[:2]
    if height and width:
        faded = cv2.multiply(area, keep[:height, :width], scale=1 / 255)
        area[:] = cv2.add(faded, ink[:height, :width])


@lru_cache(maxsize=256)
def _letters(
    text: str, size: int, colour: Colour, bold: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns how much of the picture stays, of 255, and the ink; (height, width, 3) both."""
    file = _font_file(text)
    font = _font(file, size)
    image = Image.new("L", (int(font.getlength(text) + bold) + 3, sum(font.getmetrics())))
    draw = ImageDraw.Draw(image)
    draw.text((1, 0), text, fill=255, font=font)
    if bold and not file:  # the others are hinted: doubled, their letters differ in weight
        draw.text((1 + bold, 0), text, fill=255, font=font)
    opacity = np.repeat(np.asarray(image)[..., None], 3, axis=-1)
    return 255 - opacity, np.rint(opacity / 255 * colour).astype(np.uint8)


@lru_cache(maxsize=64)
def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size) if file else ImageFont.load_default(size)


@lru_cache(maxsize=256)
def _font_file(text: str) -> str:
    """Returns the file of the font that has most of a text's letters; empty: Pillow's own."""
    if text.isascii():
        return ""
    return max(_other_fonts(), key=lambda file: sum(_has(file, letter) for letter in text))


@lru_cache(maxsize=1)
def _other_fonts() -> tuple[str, ...]:
    """Returns the files of the fonts that are there; the first is good for most alphabets."""
    package = find_spec("matplotlib")  # importing it would leave files in the home directory
    places = package.submodule_search_locations if package else None
    bundled = [f"{place}/mpl-data/fonts/ttf" for place in places or ()]
    files = []
    for name in (*(f"{place}/{_ALPHABETS}" for place in bundled), _ALPHABETS, *_FALLBACKS):
        with suppress(OSError):
            files.append(str(ImageFont.truetype(name, 12).path))
    return (*files, "")


def _has(file: str, letter: str) -> bool:
    """Says whether a font knows a letter: an unknown one looks like U+FFFF, which is none."""
    font = _font(file, 12)
    return bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))


@lru_cache(maxsize=64)
def wrap(text: str, size: int, width: int, lines: int) -> tuple[str, ...]:
    """Breaks text into lines that fit, between words where it can; ends it with … if it must.

    Args:
        text: any length.
        size: pixels.
        width: pixels.
        lines: at most so many, one or more.
    """
    rest, result = " ".join(text.split()), []
    while rest and len(result) < lines:
        line = rest[: _break(rest, size, width)]
        result.append(line.rstrip())
        rest = rest[len(line) :]
    if rest:
        end = len(result[-1])
        while end and text_width(result[-1][:end] + "…", size) > width:
            end -= 1
        result[-1] = result[-1][:end].rstrip() + "…"
    return tuple(result)


def _break(text: str, size: int, width: int) -> int:
    """Returns how many characters of a text go into one line, at least one."""
    if text_width(text, size) <= width:
        return len(text)
    lengths = range(1, len(text))
    fitting = bisect_right(lengths, width, key=lambda end: text_width(text[:end], size))
    return text.rfind(" ", 0, fitting + 1) + 1 or max(1, fitting)
