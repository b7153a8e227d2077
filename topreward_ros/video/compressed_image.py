"""Compressed image messages to RGB pictures.

`format` follows compressed_image_transport: `jpeg`, or `rgb8; jpeg compressed bgr8`, which is the
encoding before compression, the container, and the encoding that the compressor was given.
Damage that a decoder can notice is refused: OpenCV would fill the rest with grey.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from topreward_ros.video.jpeg import decode_jpeg, is_jpeg
from topreward_ros.video.pixels import FORMATS, ImageError, check_size, to_rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L")


def decode_compressed(data: NDArray[np.uint8], format_name: str) -> NDArray[np.uint8]:
    """Returns the picture of a `sensor_msgs/CompressedImage`.

    Args:
        data: the compressed bytes.
        format_name: the message's `format`; where it is empty, the data speak for themselves.

    Returns:
        uint8 RGB of shape (height, width, 3).

    Raises:
        ImageError: another format than JPEG or PNG, a depth map, or damaged or truncated data.
    """
    encoding, compressed_from = _read_format(format_name)
    content = data.tobytes()
    try:
        picture = decode_jpeg(content) if is_jpeg(content) else _decode_png(content)
    except ImageError:
        raise
    except Exception as error:  # decoders fail in many ways on damaged bytes
        raise ImageError(
            f"Compressed image (format {format_name!r}, {data.size} bytes) cannot be decoded; "
            f"expected a whole JPEG or PNG picture, and the decoder says: {_one_line(error)}."
        ) from error
    return _to_rgb(picture, encoding, compressed_from)


def _decode_png(content: bytes) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Returns grey values, of 8 or 16 bits, or RGB."""
    image = Image.open(io.BytesIO(content), formats=("PNG",))
    check_size(image.height, image.width)
    ImageOps.exif_transpose(image, in_place=True)  # else it is copied
    if image.mode in _SIXTEEN_BIT_MODES:
        return np.asarray(image).astype(np.uint16)
    return np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))


def _read_format(format_name: str) -> tuple[str, str]:
    """Returns the encodings before and for compression, empty where `format` does not say."""
    encoding, separator, rest = format_name.partition(";")
    container = (rest if separator else format_name).strip().lower()
    if "compresseddepth" in container:
        reason = "it is a depth map; subscribe to the camera's colour topic"
    elif separator and encoding.strip() in ("16UC1", "32FC1"):
        reason = f"{encoding.strip()} holds distances; subscribe to the camera's colour topic"
    elif container and not re.match(r"jpe?g\b|png\b", container):
        reason = "only JPEG and PNG pictures are read; choose one of them in the camera driver"
    else:
        compressed_from = re.search(r"compressed\s+(\w+)", container)
        return (
            encoding.strip() if separator else "",
            compressed_from.group(1) if compressed_from else "",
        )
    raise ImageError(f"Compressed image of format {format_name!r} cannot be read: {reason}.")


def _to_rgb(
    picture: NDArray[np.uint8] | NDArray[np.uint16], encoding: str, compressed_from: str
) -> NDArray[np.uint8]:
    width = picture.shape[1]
    if picture.dtype == np.uint16:
        if encoding != "mono16" and not encoding.startswith("bayer_"):
            raise ImageError(
                "Compressed image is 16-bit grey and its format does not call it mono16; it may "
                "be a depth map, so it is not read as a picture."
            )
        return _rows_to_rgb(picture.astype("<u2").view(np.uint8), encoding, width)
    if picture.ndim == 2 and encoding.startswith("bayer_"):
        return _rows_to_rgb(picture, encoding, width)
    if picture.ndim == 2:
        return np.repeat(picture[..., None], 3, axis=-1)
    # the compressor takes BGR, so a picture handed over as RGB has red and blue exchanged
    if compressed_from.startswith("rgb") and encoding.startswith(("rgb", "bgr")):
        picture = np.ascontiguousarray(picture[..., ::-1])
    return picture


def _rows_to_rgb(rows: NDArray[np.uint8], encoding: str, width: int) -> NDArray[np.uint8]:
    pixels = FORMATS.get(encoding)
    if (
        pixels is None
        or width * pixels.pixel_bytes != rows.shape[1]
        or (min(width, rows.shape[0]) < pixels.min_side)
    ):
        raise ImageError(
            f"Compressed image holds grey values that do not fit its encoding {encoding!r}."
        )
    return to_rgb(np.ascontiguousarray(rows), encoding, width)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    # Pillow names the memory address of the stream where it cannot tell the format
    return "no such picture" if "<_io." in text or not text else text
