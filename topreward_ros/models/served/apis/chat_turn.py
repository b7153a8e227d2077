"""What a service is shown and asked: one user's turn of stamped pictures and the question.

Every picture stands by itself behind a text with its time, `<0.5 seconds>`, as Qwen3-VL's markup
writes it: that keeps the method's frames and stamps. As a video file, services would take frames
of their own from it, and stamp them anew. Pictures are PNG, which loses nothing: JPEG moves scores
by some tenths of a nat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from topreward_ros.method.prompt import ChatMarkup, Prompt, PromptForm

PROMPT = Prompt(PromptForm.CHAT, ChatMarkup(user="", turn_end="", assistant=""))
"""The service writes the markup of the turns by itself."""


@dataclass(frozen=True)
class ChatTurn:
    """One user's turn.

    Attributes:
        pictures: PNG files.
        stamps: their times, s since the episode's start.
        question: that follows them.
    """

    pictures: tuple[bytes, ...]
    stamps: tuple[float, ...]
    question: str

    def parts(self) -> Iterator[str | bytes]:
        """Yields texts and pictures in their order."""
        for picture, stamp in zip(self.pictures, self.stamps, strict=True):
            yield f"<{stamp:.1f} seconds>"
            yield picture
        yield self.question


def png(frame: NDArray[np.uint8]) -> bytes:
    """Returns a (height, width, 3) uint8 RGB frame as a PNG file."""
    done, file = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"A frame of shape {frame.shape} cannot be written as PNG.")
    return file.tobytes()
