"""What tells one video from another: a digest of all its frames in their order."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16
EMPTY = bytes(DIGEST_BYTES).hex()
"""The digest of no frame."""


def history(before: str, frame: NDArray[np.uint8], stamp: float) -> str:
    """Returns the digest of a video that has one more frame.

    Robot and server keep one each: where they are the same, so are the videos, whatever got lost,
    came twice or is of another robot.

    Args:
        before: the digest without it, hexadecimal.
        frame: (height, width, 3) uint8 RGB.
        stamp: s since the episode's start.
    """
    digest = hashlib.blake2b(bytes.fromhex(before), digest_size=DIGEST_BYTES)
    digest.update(struct.pack("<d", stamp))
    digest.update(np.ascontiguousarray(frame))
    return digest.hexdigest()
