"""Compressed pictures that are small to send and dear to decode."""

from __future__ import annotations

import io
import zlib

import numpy as np
from PIL import Image


def encoded(picture: np.ndarray, container: str = "jpeg", **options: object) -> bytes:
    """Returns the picture's bytes, as Pillow writes them."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, container, **options)
    return stream.getvalue()


def with_scans(data: bytes, scans: int) -> bytes:
    """Returns a progressive JPEG whose last scan comes again and again."""
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + b"\xff\xd9"


def many_scans(side: int = 2048, scans: int = 1000) -> bytes:
    """Returns a progressive JPEG of 1009 scans, which takes seconds."""
    return with_scans(encoded(np.zeros((side, side, 3), np.uint8), progressive=True), scans)


def largest_jpeg(side: int = 4096) -> bytes:
    """Returns a JPEG that is just small enough to be taken, and takes some tenths of a second."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    return encoded(noise, quality=10)


def huge_jpeg(side: int = 8192) -> bytes:
    """Returns the JPEG of a few bytes that claims to have side x side px."""
    data = encoded(np.zeros((8, 8), np.uint8))
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + side.to_bytes(2, "big") * 2 + data[at + 4 :]


def huge_png(side: int = 8192) -> bytes:
    """Returns the same as a PNG."""
    data = bytearray(encoded(np.zeros((8, 8), np.uint8), "png"))
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)
