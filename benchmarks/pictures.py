"""What a picture costs: decoding a camera's, beside Pillow alone, and drawing the overlay on it."""

from __future__ import annotations

import io
from functools import partial

import numpy as np
from PIL import Image

from benchmarks.results import Results
from benchmarks.timing import in_turns
from topreward_ros.video.compressed_image import decode_compressed
from topreward_ros.video.overlay import OverlayState, draw_overlay
from topreward_ros.video.resizing import resize

SIZES = {"VGA": (480, 640), "1080p": (1080, 1920), "16 Mpx, the largest": (4096, 4096)}


def measure(results: Results, *, quick: bool = False) -> None:
    """Takes seconds."""
    for name, size in list(SIZES.items())[: 1 if quick else None]:
        for container in ("jpeg", "png"):
            data = _camera_picture(size, container)
            message = np.frombuffer(data, np.uint8)
            taken = in_turns(
                {"ours": partial(decode_compressed, message, ""), "pillow": partial(_pillow, data)},
                rounds=3 if quick else 9,
            )
            group = f"decoding {container}, {name}"
            results.add(group, "time", taken["ours"] * 1e3, "ms")
            results.add(group, "beside Pillow", taken["ours"] / taken["pillow"], "x", "<= 1.3")
    _drawing(results, 3 if quick else 9)


def _drawing(results: Results, rounds: int) -> None:
    """A picture after an hour of readings beside one after a minute."""
    camera = np.full((480, 640, 3), 90, np.uint8)
    taken = in_turns(
        {
            name: partial(draw_overlay, camera, _episode(seconds))
            for name, seconds in {"minute": 60, "hour": 3600}.items()
        },
        rounds=rounds,
    )
    group = "drawing the overlay, VGA"
    results.add(group, "time after a minute", taken["minute"] * 1e3, "ms", "<= 10")
    results.add(group, "after an hour", taken["hour"] / taken["minute"], "x", "<= 3")


def _episode(seconds: float) -> OverlayState:
    times = np.arange(0, seconds, 0.5)
    return OverlayState(
        "put the red cube on the blue disc", times=times, progress=np.sin(times) ** 2
    )


def _camera_picture(size: tuple[int, int], container: str) -> bytes:
    """Shades with a sensor's noise."""
    rng = np.random.default_rng(0)
    shades = resize(rng.integers(0, 256, (15, 20, 3), np.uint8), size)
    noisy = np.clip(shades + rng.normal(0, 4, shades.shape), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noisy).save(stream, container, quality=90, compress_level=1)
    return stream.getvalue()


def _pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
