"""What a real camera adds to a drawn picture: light, colour cast, blur, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CameraEffects:
    """One camera's ways during one episode.

    Attributes:
        gain: factor on each colour channel.
        offset: grey levels added.
        blur: standard deviation of the lens blur in pixels of a 320-pixel-wide picture.
        noise: standard deviation of the sensor noise, grey levels.
        jpeg_quality: of the compressed picture.
    """

    gain: tuple[float, float, float]
    offset: float
    blur: float
    noise: float
    jpeg_quality: int

    def apply(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Returns the picture as this camera delivers it, before compression.

        Args:
            picture: uint8 RGB, shape (height, width, 3).
            rng: source of the noise.
        """
        seen = picture.astype(np.float32) * np.asarray(self.gain, np.float32) + self.offset
        scale = picture.shape[1] / 320
        if self.blur * scale > 0.2:
            seen = cv2.GaussianBlur(seen, (0, 0), self.blur * scale)
        if self.noise > 0:
            seen += rng.standard_normal(seen.shape, np.float32) * self.noise
        return np.clip(np.rint(seen), 0, 255).astype(np.uint8)

    def compress(self, picture: NDArray[np.uint8]) -> bytes:
        """The picture as JPEG."""
        options = [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
        return cv2.imencode(".jpg", picture[:, :, ::-1], options)[1].tobytes()


def random_effects(rng: np.random.Generator) -> CameraEffects:
    """Draws a camera."""
    brightness = rng.uniform(0.85, 1.15)
    return CameraEffects(
        gain=tuple(float(g) for g in brightness * rng.uniform(0.95, 1.05, 3)),
        offset=float(rng.uniform(-8.0, 12.0)),
        blur=float(rng.uniform(0.0, 1.1)),
        noise=float(rng.uniform(0.0, 5.0)),
        jpeg_quality=int(rng.integers(55, 96)),
    )


CLEAN = CameraEffects((1.0, 1.0, 1.0), 0.0, 0.0, 0.0, 80)
"""A camera with nothing but compression."""
