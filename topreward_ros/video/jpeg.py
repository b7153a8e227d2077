"""JPEG pictures, whole and of a bounded cost, or refused.

A JPEG has no checksum: a decoder goes on over damage and only warns of it. Here every warning of
libjpeg is a refusal (simplejpeg, which is libjpeg-turbo). What no decoder can notice remains:
changed bits that make another valid picture, such as one block of another colour.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg
from PIL import Image

from topreward_ros.video.pixels import ImageError, check_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_SCANS = 32
"""Cameras send one; progressive pictures have about ten. A hostile one of 10 kB can have 1000."""
LARGEST_WORK = 2**25
"""Scans times pixels: what is decoded, whatever the number of bytes."""
_START = b"\xff\xd8"
_SCAN = b"\xff\xda"
_ZEROS = bytes(64)
_STANDARD_CODES = bytes((1, 2, 3, 0, 4, 17, 5, 18, 33, 49, 65, 6))
"""How the symbols of the standard Huffman table begin, with which nearly all cameras write."""
_ORIENTATION = 0x0112
_TURNS = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p.swapaxes(0, 1), 2),
    8: lambda p: np.rot90(p),
}


def is_jpeg(data: bytes) -> bool:
    """Says whether the data begin as a JPEG does."""
    return data.startswith(_START)


def decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    """Returns the picture, turned upright as its EXIF orientation says.

    Args:
        data: a JPEG of one or three channels.

    Returns:
        uint8 of shape (height, width) for a grey picture, else RGB (height, width, 3).

    Raises:
        ImageError: too large, too costly, or known to be damaged.
        ValueError: what the decoder says of damaged data.
    """
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    check_size(height, width)
    _check_work(data.count(_SCAN), height, width)
    if colours in ("CMYK", "YCCK"):
        raise ImageError(
            "Compressed image has the four colours of print (CMYK); expected a camera's JPEG, "
            "which is grey or in colour."
        )
    if _ZEROS in data[data.rindex(_SCAN) :] and _STANDARD_CODES in data:
        raise ImageError(
            f"Compressed image is damaged: {len(_ZEROS)} zeros in a row stand in its JPEG data, "
            "which no picture makes; a part was lost on the way."
        )
    grey = colours in ("Gray", "GRAY")
    picture = simplejpeg.decode_jpeg(data, "GRAY" if grey else "RGB", strict=True)
    return _upright(picture[..., 0] if grey else picture, data)


def _check_work(scans: int, height: int, width: int) -> None:
    if scans > MOST_SCANS or scans * height * width > LARGEST_WORK:
        raise ImageError(
            f"Compressed image is a JPEG of {width} x {height} px in {scans} scans; expected at "
            f"most {MOST_SCANS} scans and {LARGEST_WORK} px in all of them, so let the camera send "
            "baseline JPEG, which has one."
        )


def _upright(picture: NDArray[np.uint8], data: bytes) -> NDArray[np.uint8]:
    if data.find(b"Exif\0", 0, 2**16) < 0:
        return picture
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as header:  # reads no pixels
        turn = _TURNS.get(header.getexif().get(_ORIENTATION))
    return np.ascontiguousarray(turn(picture)) if turn else picture
