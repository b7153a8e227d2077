"""Pictures of a video file as image messages, decoded by PyAV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av

from topreward_ros.video.image import stamp_seconds
from topreward_ros.video.recordings.decoder_errors import checked_frames, refused_errors
from topreward_ros.video.recordings.picture_message import FIRST_STAMP, Image, picture_message
from topreward_ros.video.recordings.recording import (
    ImageTopic,
    RecordedImage,
    Recording,
    RecordingError,
)
from topreward_ros.video.recordings.shared_video import refuse_shared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream


VIDEO_TOPIC = "/camera/image_raw"
"""The topic of a video file's pictures."""
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
            RecordingError: it is no video, was cut or damaged, holds several streams or episodes,
                or states no frame rate where `fps` is None.
        """
        refuse_shared(path)
        self._fps = fps
        with refused_errors(path), av.open(str(path)) as container:
            stream = _only_stream(container, path)
            timed = not container.format.name.endswith("_pipe")
            timed = timed and container.format.name not in _WITHOUT_TIMES
            self._rate = float(stream.average_rate or 0) if timed else 0.0
            stated = stream.frames
            pictures, shown = _packets(container, stream)
        if not pictures or pictures < stated:
            raise RecordingError(
                f"{path} was cut: {pictures} of {stated or 'its'} pictures are there."
            )
        if not (fps or self._rate):
            raise RecordingError(
                f"{path} states no frame rate; say how many pictures a second it has (fps)."
            )
        super().__init__(
            path, {VIDEO_TOPIC: ImageTopic(Image.__msgtype__, shown)}, shown / (fps or self._rate)
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
            message = picture_message(frame, FIRST_STAMP + seconds)
            yield RecordedImage(VIDEO_TOPIC, stamp_seconds(message), message)

    def _frames(self) -> Iterator[av.VideoFrame]:
        count = 0
        with refused_errors(self.path):
            container = av.open(str(self.path))
        with container:
            stream = _only_stream(container, self.path)
            for frame in checked_frames(container, stream, self.path):
                count += 1
                yield frame
        if count < len(self):
            raise RecordingError(
                f"{self.path} holds {len(self)} pictures, and {count} of them can be decoded: a "
                "key frame is missing, as after a cut without encoding anew, or data are damaged; "
                "expected a whole video that starts with a key frame."
            )


def _only_stream(container: InputContainer, path: Path) -> VideoStream:
    """Returns the video's one stream of moving pictures, beside which there may be a cover."""
    covers = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    streams = [s for s in container.streams.video if not s.disposition & covers]
    if not streams:
        raise RecordingError(f"{path} holds no pictures; expected a video file.")
    if len(streams) > 1:
        sizes = ", ".join(f"{s.width} x {s.height} px" for s in streams)
        raise RecordingError(
            f"{path} holds {len(streams)} video streams ({sizes}), and a recording is one of them; "
            "expected a file with one: copy it out (ffmpeg -i ... -map 0:v:0 -c copy ...)."
        )
    return streams[0]


def _packets(container: InputContainer, stream: VideoStream) -> tuple[int, int]:
    """Returns the number of pictures, and of those that are shown."""
    packets = [packet for packet in container.demux(stream) if packet.size]
    shown = (not packet.is_discard and _is_shown(packet, stream) for packet in packets)
    return len(packets), sum(shown)


def _is_shown(packet: Packet, stream: VideoStream) -> bool:
    """VP8 keeps pictures that are only referred to in packets of their own (RFC 6386, 9.1)."""
    return stream.codec_context.name not in ("vp8", "libvpx") or bool(bytes(packet)[0] & 0x10)
