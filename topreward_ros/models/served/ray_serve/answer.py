"""What the server answers to an update."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from topreward_ros.models.served.ray_serve.fields import Fields, WireError
from topreward_ros.models.served.ray_serve.served_model import LONGEST_NAME
from topreward_ros.models.served.ray_serve.update import MOST_FRAMES, MOST_INSTRUCTIONS, Update


@dataclass(frozen=True)
class Answer:
    """To one update.

    Attributes:
        episode: of the update.
        frames: of its video.
        fingerprint: of the model that answers.
        backend: its name.
        log_probs: one for each instruction, nats, NaN where the model gave no number; None: the
            server has not the video, and needs all of it.
        model_time: s that it took the model.
    """

    episode: str
    frames: int
    fingerprint: str
    backend: str
    log_probs: tuple[float, ...] | None
    model_time: float

    def fits(self, update: Update) -> bool:
        """Whether it is the answer to this update, and not to another one."""
        asked = update.episode, update.frames, len(update.instructions)
        answered = len(update.instructions if self.log_probs is None else self.log_probs)
        return asked == (self.episode, self.frames, answered)


def pack_answer(answer: Answer) -> bytes:
    """Returns the body of a response."""
    known = answer.log_probs
    log_probs = known and [value if math.isfinite(value) else None for value in known]
    return json.dumps({**vars(answer), "log_probs": log_probs}, allow_nan=False).encode()


def unpack_answer(body: dict[str, Any]) -> Answer:
    """Reads the JSON object of a response.

    Raises:
        WireError: it is none.
    """
    fields = Fields(body, "The answer")
    log_probs = None
    if fields.has("log_probs"):
        values = fields.numbers("log_probs", MOST_INSTRUCTIONS)
        log_probs = tuple(math.nan if value is None else float(value) for value in values)
        if any(value > 0.0 for value in log_probs):
            raise WireError("The answer: a log-probability is above 0, which none can be.")
    return Answer(
        fields.hexadecimal("episode", 32),
        fields.whole("frames", 1, MOST_FRAMES),
        fields.text("fingerprint", LONGEST_NAME),
        fields.text("backend", LONGEST_NAME),
        log_probs,
        fields.number("model_time", 0.0, 1e9),
    )
