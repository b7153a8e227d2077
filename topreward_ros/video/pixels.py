"""Pixel encodings of `sensor_msgs` to RGB.

The names are those of `sensor_msgs/image_encodings.hpp`. Colour is converted by cv_bridge where a
working one is installed, else by rosbags-image; both get rows that were checked and packed before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MAX_SIDE = 16384
"""Pixels. More in one direction is a damaged message, not a camera."""
MAX_PIXELS = 2**24
"""Pixels in one picture; keeps a damaged message from taking gigabytes."""


class ImageError(ValueError):
    """An image message that cannot become a picture; the text says why and what is expected."""


@dataclass(frozen=True)
class PixelFormat:
    """How one encoding lies in memory.

    Attributes:
        channels: values per pixel in a row.
        depth: bits per value, 8 or 16.
        even_width: two pixels share their colour.
        half_planes: a plane with colour at half the resolution follows the rows.
        min_side: pixels that the conversion needs in each direction.
    """

    channels: int
    depth: int = 8
    even_width: bool = False
    half_planes: bool = False
    min_side: int = 1

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel in a row."""
        return self.channels * self.depth // 8


_BAYER = ("bayer_rggb", "bayer_bggr", "bayer_gbrg", "bayer_grbg")
FORMATS: dict[str, PixelFormat] = {
    **{f"{name}{depth}": PixelFormat(channels, depth)
       for name, channels in (("mono", 1), ("rgb", 3), ("bgr", 3), ("rgba", 4), ("bgra", 4))
       for depth in (8, 16)},
    **{f"{name}{depth}": PixelFormat(1, depth, min_side=4) for name in _BAYER for depth in (8, 16)},
    **{name: PixelFormat(2, even_width=True) for name in ("yuv422", "yuv422_yuy2")},
    **{name: PixelFormat(1, even_width=True, half_planes=True) for name in ("nv12", "nv21")},
}  # fmt: skip
"""Every encoding that is read."""
_ALIASES = {"uyvy": "yuv422", "yuyv": "yuv422_yuy2"}
_HALF_PLANES = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}


@dataclass(frozen=True)
class PackedImage:
    """The fields of `sensor_msgs/Image` that the converters read, 8 bits deep, without padding."""

    height: int
    width: int
    encoding: str
    step: int
    data: NDArray[np.uint8]
    is_bigendian: int = 0


def pixel_format(encoding: str) -> tuple[str, PixelFormat]:
    """Returns the encoding's usual name and how it lies in memory.

    Raises:
        ImageError: the encoding is unknown, is a depth map, or does not say what its values mean.
    """
    name = _ALIASES.get(encoding, encoding)
    if name in FORMATS:
        return name, FORMATS[name]
    if name.startswith(("16UC1", "32FC1", "64FC1")):
        reason = "it holds distances, not a picture; subscribe to the camera's colour topic"
    elif name[:2] in ("8U", "8S", "16", "32", "64"):
        reason = "it does not say which colours its channels are"
    elif name == "nv24":
        reason = "its full-resolution colour plane has no agreed conversion"
    else:
        reason = "it is not a known one"
    raise ImageError(
        f"Image encoding {name!r} cannot be read: {reason}; expected one of {', '.join(FORMATS)}."
    )


def check_size(height: int, width: int) -> None:
    """Raises ImageError where a picture of this size, in pixels, cannot be meant."""
    if height < 1 or width < 1:
        raise ImageError(
            f"Image size {width} x {height} px has no pixels; the camera driver sends empty images."
        )
    if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
        raise ImageError(
            f"Image size {width} x {height} px is beyond {MAX_SIDE} px a side or {MAX_PIXELS} px "
            "in all; the message is damaged, or the camera must send smaller images."
        )


def to_rgb(rows: NDArray[np.uint8], encoding: str, width: int) -> NDArray[np.uint8]:
    """Converts packed rows of pixels.

    Args:
        rows: uint8 of shape (rows, bytes of a row), little-endian where a value has two bytes.
            Encodings with a colour plane have 3/2 as many rows as the picture.
        encoding: a key of `FORMATS`.
        width: pixels.

    Returns:
        uint8 RGB of shape (height, width, 3). It may be a view of `rows`. YUV is taken as BT.601
        in video range (16–235), as cameras on USB send it.
    """
    if encoding in _HALF_PLANES:
        return cv2.cvtColor(rows, _HALF_PLANES[encoding])
    if FORMATS[encoding].depth == 16:
        rows, encoding = _halve_depth(rows), encoding[:-2] + "8"
    height, step = rows.shape
    return _converter()(PackedImage(height, width, encoding, step, rows))


def _halve_depth(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scales 0–65535 to 0–255, rounding to the nearest."""
    return cv2.convertScaleAbs(rows.view("<u2"), alpha=1 / 257)


def _rosbags_image(image: PackedImage) -> NDArray[np.uint8]:
    from rosbags.image import image_to_cvimage

    return image_to_cvimage(image, "rgb8")


def _cv_bridge() -> Callable[[PackedImage], NDArray[np.uint8]] | None:
    """Returns cv_bridge's conversion if it is there and converts a pixel correctly."""
    if int(np.__version__.split(".")[0]) > 1:
        return None  # binaries built for numpy 1 can take the process down with numpy 2
    try:
        from cv_bridge import CvBridge

        bridge = CvBridge()

        pixel = bridge.imgmsg_to_cv2(
            PackedImage(1, 1, "bgr8", 3, np.array([[3, 2, 1]], np.uint8)), "rgb8"
        )
    except Exception:  # whatever a broken binary does, the other converter works
        return None

    def convert(image: PackedImage) -> NDArray[np.uint8]:
        try:
            return bridge.imgmsg_to_cv2(image, "rgb8")
        except TypeError:  # CvBridgeError: older ones do not know every encoding
            return _rosbags_image(image)

    return convert if pixel.tolist() == [[[1, 2, 3]]] else None


@lru_cache(maxsize=1)
def _converter() -> Callable[[PackedImage], NDArray[np.uint8]]:
    return _cv_bridge() or _rosbags_image
