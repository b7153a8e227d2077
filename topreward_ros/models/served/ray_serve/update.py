"""What a robot sends for one reading: a JSON head, and raw pixels behind it.

The body is 4 bytes `TPRW`, the version and the length of the head (each 4 bytes, little-endian),
the head, and the pictures, each height x width x 3 bytes RGB. Either it holds the frames that are
new since the last update, or `numbers`, and the frames of all units that are kept of the video.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from topreward_ros.models.served.ray_serve.fields import Fields, WireError
from topreward_ros.models.served.ray_serve.history import DIGEST_BYTES
from topreward_ros.models.served.ray_serve.served_model import (
    LONGEST_NAME,
    VERSION,
    ServedModel,
)
from topreward_ros.models.video_unit import VideoUnit

LARGEST_HEAD = 2**18
"""Bytes."""
MOST_FRAMES = 2**40
MOST_INSTRUCTIONS = 256
LONGEST_INSTRUCTION = 4096
_START = struct.Struct("<4sII")
_MAGIC = b"TPRW"
_WHAT = "The update's head"


@dataclass(frozen=True)
class Update:
    """A question about a video, with what is needed to have that video.

    Attributes:
        episode: 32 hexadecimal digits, drawn by the robot for this video.
        fingerprint: of the model that is meant.
        backend: its name.
        max_pairs: units kept at most.
        frames: of the video by now, the dropped ones included.
        before: digest of the video without these frames (`history`).
        after: digest of the video with them.
        numbers: of the units that are kept, where they are all here; None: the frames are new.
        stamps: of the frames here, s.
        pictures: (frames here, height, width, 3) uint8 RGB.
        instructions: what is asked about.
    """

    episode: str
    fingerprint: str
    backend: str
    max_pairs: int
    frames: int
    before: str
    after: str
    numbers: tuple[int, ...] | None
    stamps: tuple[float, ...]
    pictures: NDArray[np.uint8]
    instructions: tuple[str, ...]

    def units(self, size: int) -> list[VideoUnit]:
        """Returns the units of a whole video.

        Args:
            size: frames of a unit; where the newest is short of them, its last is repeated.

        Raises:
            WireError: there is not one unit's worth of frames for each number.
        """
        numbers, missing = self.numbers or (), -len(self.stamps) % size
        if len(numbers) * size != len(self.stamps) + missing:
            raise WireError(
                f"The update has {len(self.stamps)} frames for {len(numbers)} units of {size}."
            )
        pictures = [*self.pictures, *self.pictures[-1:].repeat(missing, axis=0)]
        stamps = (*self.stamps, *self.stamps[-1:] * missing)
        return [
            VideoUnit(
                np.stack(pictures[first : first + size]), stamps[first : first + size], number
            )
            for first, number in zip(range(0, len(stamps), size), numbers, strict=True)
        ]


def pack_update(update: Update) -> bytes:
    """Returns the body of a request."""
    fields = {name: getattr(update, name) for name in Update.__annotations__ if name != "pictures"}
    head = json.dumps(fields, allow_nan=False).encode()
    pictures = np.ascontiguousarray(update.pictures, np.uint8).reshape(-1)
    return b"".join((_START.pack(_MAGIC, VERSION, len(head)), head, pictures.data))


def largest_update(model: ServedModel) -> int:
    """Returns the bytes that a body may have: a head, and all frames that are kept."""
    frames = (model.max_pairs + 1) * model.capabilities.frames_per_unit
    return _START.size + LARGEST_HEAD + frames * _frame_bytes(model)


def unpack_update(body: bytes, model: ServedModel) -> Update:
    """Reads the body of a request to the server of a model.

    Raises:
        WireError: it is none, or too large, or of another version.
    """
    if len(body) < _START.size or not body.startswith(_MAGIC):
        raise WireError("The body is no update of topreward_ros; see the address of the server.")
    _, version, length = _START.unpack_from(body)
    if version != VERSION:
        raise WireError(
            f"The update is of version {version} of the wire format, and this server speaks "
            f"{VERSION}; install the same topreward_ros on robot and server."
        )
    if length > LARGEST_HEAD or _START.size + length > len(body):
        raise WireError(
            f"The update's head has {length} bytes, of which {len(body) - _START.size} came; "
            f"expected all, and at most {LARGEST_HEAD}."
        )
    pixels = memoryview(body)[_START.size + length :]
    head = Fields.read(body[_START.size : _START.size + length], _WHAT)
    most = (model.max_pairs + 1) * model.capabilities.frames_per_unit
    stamps = head.numbers("stamps", most)
    if None in stamps or len(stamps) * _frame_bytes(model) != len(pixels):
        height, width = model.frame_size
        raise WireError(
            f"The update has {len(stamps)} stamps and {len(pixels)} bytes of pixels; expected "
            f"{_frame_bytes(model)} bytes, {height} x {width} px of RGB, for each."
        )
    return _read(head, stamps, np.frombuffer(pixels, np.uint8), model)


def _read(
    head: Fields, stamps: tuple[float, ...], pixels: NDArray[np.uint8], model: ServedModel
) -> Update:
    return Update(
        episode=head.hexadecimal("episode", 32),
        fingerprint=head.text("fingerprint", LONGEST_NAME),
        backend=head.text("backend", LONGEST_NAME),
        max_pairs=head.whole("max_pairs", 1, MOST_FRAMES),
        frames=head.whole("frames", 1, MOST_FRAMES),
        before=head.hexadecimal("before", 2 * DIGEST_BYTES),
        after=head.hexadecimal("after", 2 * DIGEST_BYTES),
        numbers=(
            head.wholes("numbers", model.max_pairs + 1, MOST_FRAMES)
            if head.has("numbers")
            else None
        ),
        stamps=tuple(map(float, stamps)),
        pictures=pixels.reshape(len(stamps), *model.frame_size, 3),
        instructions=head.texts("instructions", MOST_INSTRUCTIONS, LONGEST_INSTRUCTION),
    )


def _frame_bytes(model: ServedModel) -> int:
    return model.frame_size[0] * model.frame_size[1] * 3
