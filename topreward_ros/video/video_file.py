"""Pictures of a video file as image messages, decoded by PyAV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
from rosbags.typesys.stores.ros2_jazzy import (
    builtin_interfaces__msg__Time as Time,
)
from rosbags.typesys.stores.ros2_jazzy import (
    sensor_msgs__msg__Image as Image,
)
from rosbags.typesys.stores.ros2_jazzy import (
    std_msgs__msg__Header as Header,
)

from topreward_ros.video.image import stamp_seconds
from topreward_ros.video.recording import (
    ImageTopic,
    RecordedImage,
    Recording,
    RecordingError,
    one_line,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

VIDEO_TOPIC = "/camera/image_raw"
"""The topic of a video file's pictures."""
VIDEO_FRAME_ID = "camera"
FIRST_STAMP = 1.0
"""Seconds; the stamp of a video file's first picture. Zero would mean that it has none."""
_WITHOUT_TIMES = ("h264", "hevc", "m4v", "mjpeg", "obu", "image2")
"""Containers that hold no times; the decoder makes some up."""


class VideoFile(Recording):
    """A video on disk; its pictures appear as `sensor_msgs/Image` in rgb8 on `VIDEO_TOPIC`."""

    def __init__(self, path: Path, fps: float | None) -> None:
        """Reads the file's headers and counts its pictures without decoding them.

        Args:
            path: the file.
            fps: pictures per second, instead of the times within the file.

        Raises:
            RecordingError: it is no video, was cut, or states no frame rate where `fps` is None.
        """
        self._fps = fps
        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise RecordingError(f"{path} holds no pictures; expected a video file.")
                stream = container.streams.video[0]
                timed = not container.format.name.endswith("_pipe")
                timed = timed and container.format.name not in _WITHOUT_TIMES
                self._rate = float(stream.average_rate or 0) if timed else 0.0
                stated = stream.frames
                packets = [packet for packet in container.demux(stream) if packet.size]
        except (av.FFmpegError, OSError) as error:
            raise _damaged(path, error) from error
        if not packets or len(packets) < stated:
            raise RecordingError(
                f"{path} was cut: {len(packets)} of {stated or 'its'} pictures are there."
            )
        if not (fps or self._rate):
            raise RecordingError(
                f"{path} states no frame rate; say how many pictures a second it has (fps)."
            )
        count = sum(not packet.is_discard for packet in packets)
        super().__init__(
            path, {VIDEO_TOPIC: ImageTopic(Image.__msgtype__, count)}, count / (fps or self._rate)
        )

    def _images(self, topics: frozenset[str]) -> Iterator[RecordedImage]:
        if not topics:
            return
        start = None
        for index, frame in enumerate(self._frames()):
            seconds = index / (self._fps or self._rate)
            if self._fps is None and frame.time is not None:
                start = frame.time if start is None else start
                seconds = frame.time - start
            message = _message(frame, FIRST_STAMP + seconds)
            yield RecordedImage(VIDEO_TOPIC, stamp_seconds(message), message)

    def _frames(self) -> Iterator[av.VideoFrame]:
        try:
            with av.open(str(self.path)) as container:
                yield from container.decode(video=0)
        except (av.FFmpegError, OSError) as error:
            raise _damaged(self.path, error) from error


def _message(frame: av.VideoFrame, stamp: float) -> Image:
    picture = _upright(frame)
    height, width = picture.shape[:2]
    nanoseconds = round(stamp * 1e9)
    time = Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
    return Image(
        header=Header(stamp=time, frame_id=VIDEO_FRAME_ID),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=width * 3,
        data=picture.reshape(-1),
    )


def _upright(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Returns the picture as a player shows it; phones store theirs turned."""
    picture = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))


def _damaged(path: Path, error: Exception) -> RecordingError:
    return RecordingError(
        f"{path} cannot be read as a video; it is damaged or of an unknown kind, and the decoder "
        f"says: {one_line(error)}."
    )
