"""The costly part of a frame: decoding its cameras' messages, tiling and sizing them.

It knows nothing of the intake that asks for it, so that another thread may do it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from topreward_ros.video.image import ImageError, ImageMessage, decode
from topreward_ros.video.mosaic import Layout, tile
from topreward_ros.video.resizing import resize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class CameraImageError(ImageError):
    """A picture of one of the cameras that cannot be decoded.

    Attributes:
        camera: whose it is; the message that asked for the frame may be another camera's.
    """

    def __init__(self, camera: str, reason: str) -> None:
        """Names the camera before the reason."""
        super().__init__(f"Camera {camera!r}: {reason}")
        self.camera = camera


@dataclass(frozen=True)
class PictureJob:
    """What has to be decoded, and how it becomes a frame's picture; on any thread.

    Attributes:
        messages: by camera in the order of the layout, or of one camera alone.
        layout: of several cameras; None: it is only seen whether the picture can be decoded.
        frame_size: (height, width) in pixels.
    """

    messages: dict[str, ImageMessage]
    layout: Layout | None
    frame_size: tuple[int, int]

    def make(self) -> NDArray[np.uint8] | None:
        """Returns the frame's picture, uint8 RGB of (height, width, 3); None without a layout.

        Raises:
            CameraImageError: a picture cannot be decoded.
        """
        pictures = [self._decode(camera) for camera in self.messages]
        return resize(tile(pictures, self.layout), self.frame_size) if self.layout else None

    def _decode(self, camera: str) -> NDArray[np.uint8]:
        try:
            return decode(self.messages[camera])
        except ImageError as error:
            raise CameraImageError(camera, str(error)) from error
        except MemoryError:
            raise CameraImageError(camera, "there is no memory left to decode it.") from None
