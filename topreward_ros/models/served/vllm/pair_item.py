"""One pair of frames as an item of a request: lossless, with its own stamps, and named."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from topreward_ros.models.video_unit import VideoUnit

STEPS = 10000
"""A second's; as the plug-in counts (config/serve/vllm/plugin)."""
MEDIA = "data:video/topreward;base64,"


class PairItem:
    """A pair of frames.

    Attributes:
        name: hash of pixels, stamps and robot; a server trusts it, so no two items may share one.
        seconds: mean time of the frames, as the model reads it.
    """

    def __init__(self, unit: VideoUnit, robot: bytes) -> None:
        """Packs a unit of two frames.

        Args:
            unit: the frames, (2, height, width, 3) uint8, and their stamps in s.
            robot: what sets this client's items apart from those of all others.
        """
        _, height, width, _ = unit.frames.shape
        stamps = [round(stamp * STEPS) for stamp in unit.stamps]
        head = json.dumps({"stamps": stamps, "height": height, "width": width})
        self._bytes = head.encode() + b"\n" + unit.frames.tobytes()
        self.name = hashlib.sha256(robot + self._bytes).hexdigest()
        self.seconds = sum(unit.stamps) / len(unit.stamps)

    def part(self, *, known: bool) -> dict[str, Any]:
        """Returns the item as a part of a chat message.

        Args:
            known: whether the server has it already, so that its name is enough.
        """
        url = None if known else {"url": MEDIA + base64.b64encode(self._bytes).decode()}
        return {"type": "video_url", "uuid": self.name, "video_url": url}
