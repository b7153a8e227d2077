"""Image messages to RGB pictures.

Messages are read by their fields (`sensor_msgs/Image`, `sensor_msgs/CompressedImage`), so that
those of a live topic and those of a recording take the same way. Nothing is trusted: size,
encoding, row length and data length are checked before anything is converted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from topreward_ros.video.compressed_image import decode_compressed
from topreward_ros.video.pixels import ImageError, PixelFormat, check_size, pixel_format, to_rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ImageError", "ImageMessage", "StampError", "decode", "frame_id", "stamp_seconds"]


class ImageMessage(Protocol):
    """What all image messages have; the other fields tell `Image` and `CompressedImage` apart."""

    header: Any
    data: Any


class StampError(ValueError):
    """An image message without a time stamp that can be one."""


def stamp_seconds(message: ImageMessage) -> float:
    """Returns the camera's time, `header.stamp`, in seconds.

    Raises:
        StampError: the stamp is zero, which is how a driver leaves it out, or negative.
    """
    stamp = message.header.stamp
    seconds = int(stamp.sec) + int(stamp.nanosec) * 1e-9
    if seconds < 0:
        raise StampError(
            f"The image's time stamp is negative (header.stamp is {seconds:.3f} s); expected "
            "seconds after 1970, or after a simulation's start: set the clock of the camera driver."
        )
    if seconds == 0:
        raise StampError(
            "The image has no time stamp (header.stamp is zero); a frame's time is part of what "
            "the model reads, so let the camera driver stamp its images."
        )
    return seconds


def frame_id(message: ImageMessage) -> str:
    """Returns the name of the camera's coordinate frame, `header.frame_id`."""
    return str(message.header.frame_id)


def decode(message: ImageMessage) -> NDArray[np.uint8]:
    """Returns the picture of an image message.

    Args:
        message: the fields of `sensor_msgs/CompressedImage` where there is one called `format`,
            else those of `sensor_msgs/Image`. `data` is anything with a buffer of bytes.

    Returns:
        uint8 RGB of shape (height, width, 3); it may share memory with the message.

    Raises:
        ImageError: the message is damaged or of a kind that is not read.
    """
    if hasattr(message, "format"):
        return decode_compressed(_bytes_of(message.data), str(message.format))
    if hasattr(message, "encoding"):
        return _decode_raw(message, _bytes_of(message.data))
    raise ImageError(
        f"A message of type {type(message).__name__} is not an image; expected sensor_msgs/Image "
        "or sensor_msgs/CompressedImage."
    )


def _bytes_of(data: object) -> NDArray[np.uint8]:
    try:
        view = memoryview(data)
    except TypeError:
        raise ImageError(
            f"Image data is of type {type(data).__name__}; expected an array of bytes."
        ) from None
    if not view.nbytes:  # numpy refuses empty buffers
        return np.empty(0, np.uint8)
    return np.frombuffer(view if view.c_contiguous else view.tobytes(), np.uint8)


def _decode_raw(message: ImageMessage, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width, step = int(message.height), int(message.width), int(message.step)
    encoding, pixels = pixel_format(str(message.encoding))
    check_size(height, width)
    _check_shape(height, width, encoding, pixels)
    row_bytes = width * pixels.pixel_bytes
    if step < row_bytes:
        raise ImageError(
            f"Image step is {step} bytes, but a row of {width} px in {encoding} takes {row_bytes}; "
            "the message contradicts itself."
        )
    rows = height * 3 // 2 if pixels.half_planes else height
    if data.size != step * rows:
        raise ImageError(
            f"Image data has {data.size} bytes, but {width} x {height} px in {encoding} with a "
            f"step of {step} takes {step * rows}; the message was cut or its step is wrong."
        )
    packed = data.reshape(rows, step)[:, :row_bytes]
    if pixels.depth == 16 and message.is_bigendian:
        packed = np.ascontiguousarray(packed).view(">u2").astype("<u2").view(np.uint8)
    return to_rgb(np.ascontiguousarray(packed), encoding, width)


def _check_shape(height: int, width: int, encoding: str, pixels: PixelFormat) -> None:
    if min(height, width) < pixels.min_side:
        raise ImageError(
            f"Image size {width} x {height} px is too small for {encoding}, which needs at least "
            f"{pixels.min_side} px a side."
        )
    if (pixels.even_width and width % 2) or (pixels.half_planes and height % 2):
        raise ImageError(
            f"Image size {width} x {height} px is impossible in {encoding}, in which neighbouring "
            "pixels share their colour; expected even numbers."
        )
