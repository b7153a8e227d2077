"""Pictures of a video as image messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rosbags.typesys.stores.ros2_jazzy import (
    builtin_interfaces__msg__Time as Time,
)
from rosbags.typesys.stores.ros2_jazzy import (
    sensor_msgs__msg__CompressedImage as CompressedImage,
)
from rosbags.typesys.stores.ros2_jazzy import (
    sensor_msgs__msg__Image as Image,
)
from rosbags.typesys.stores.ros2_jazzy import (
    std_msgs__msg__Header as Header,
)

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray

VIDEO_FRAME_ID = "camera"
FIRST_STAMP = 1.0
"""Seconds; the stamp of a video's first picture. Zero would mean that it has none."""


def picture_message(frame: av.VideoFrame, stamp: float) -> Image:
    """Returns a decoded picture as `sensor_msgs/Image` in rgb8.

    Args:
        frame: turned as its container says.
        stamp: s of camera time.
    """
    picture = _upright(frame)
    height, width = picture.shape[:2]
    return Image(
        header=picture_header(stamp),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=width * 3,
        data=picture.reshape(-1),
    )


def file_message(data: bytes, stamp: float) -> CompressedImage:
    """Returns the bytes of a JPEG or PNG file as `sensor_msgs/CompressedImage`."""
    # Without a format the data speak for themselves.
    return CompressedImage(picture_header(stamp), "", np.frombuffer(data, np.uint8))


def picture_header(stamp: float) -> Header:
    """Returns a header of a time in s, to the nearest nanosecond."""
    nanoseconds = round(stamp * 1e9)
    time = Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
    return Header(stamp=time, frame_id=VIDEO_FRAME_ID)


def _upright(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Returns the picture as a player shows it; phones store theirs turned."""
    picture = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
