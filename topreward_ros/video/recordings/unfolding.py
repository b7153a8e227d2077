"""Bounds on what compressed parts of a bag unfold to; a few kilobytes can hold gigabytes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import lz4.frame
from rosbags.rosbag2 import storage_mcap

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 2**28
"""Bytes of a message or a chunk of messages; a picture of 2^24 px in 16-bit RGBA has half of it."""
LARGEST_RATIO = 1000
"""Of a whole file, where that is beyond `LARGEST`; the blackest recordings reach some hundreds."""
ZSTD_START = b"\x28\xb5\x2f\xfd"
_BLOCK = 2**20


class TooLarge(ValueError):
    """Data that unfold to more than is read; a clause."""


def unfold_message(data: bytes) -> bytes:
    """Returns a message as it was serialised, which never begins as zstd does.

    Raises:
        TooLarge: it has more than `LARGEST` bytes.
        ZstdError: it is damaged.
    """
    return _zstd(data, LARGEST) if data[:4] == ZSTD_START else data


def check_file(path: Path) -> None:
    """Goes through a compressed file without keeping it.

    Raises:
        TooLarge: it unfolds to more than a recording does.
        ZstdError, EOFError: it is damaged or was cut.
    """
    bound = max(LARGEST, LARGEST_RATIO * path.stat().st_size)
    size = 0
    with zstd.open(path, "rb") as file:
        while block := file.read(_BLOCK):
            size += len(block)
            if size > bound:
                raise TooLarge(f"{path.name} unfolds to more than {bound / 2**20:.0f} MiB")


def _zstd(data: bytes, bound: int) -> bytes:
    decompressor = zstd.ZstdDecompressor()
    unfolded = decompressor.decompress(data, max_length=bound + 1)
    _check(unfolded, bound)
    if not decompressor.eof:
        raise EOFError("compressed data were cut")
    return unfolded


def _lz4(data: bytes, bound: int) -> bytes:
    unfolded = lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=bound + 1)
    _check(unfolded, bound)
    return unfolded


def _check(unfolded: bytes, bound: int) -> None:
    if len(unfolded) > bound:
        raise TooLarge(f"a part unfolds to more than {bound / 2**20:.0f} MiB")


# rosbags, which brings zstd and lz4 too, is pinned (setup.cfg). It unfolds without a bound, and has
# no setting for it.
storage_mcap.DECOMPRESSORS.update(
    zstd=lambda data, size: _zstd(data, min(size, LARGEST)),
    lz4=lambda data, size: _lz4(data, min(size, LARGEST)),
)
