"""What a service is asked at configure, so that no episode finds out what it lacks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from topreward_ros.models.served.apis.chat_turn import PROMPT, ChatTurn, png
from topreward_ros.models.served.apis.refusals import Refusals
from topreward_ros.models.served.apis.top_tokens import Answer

INSTRUCTION = "put the red cube on the green disc"
STAMPS = (0.0, 0.5)
"""s."""


def probe(
    ask: Callable[[ChatTurn], Answer], frame_size: tuple[int, int], refusals: Refusals
) -> str:
    """Asks about two clips of two pictures, which must make a difference.

    Args:
        ask: asks, and raises whatever the service has against it.
        frame_size: (height, width) px.
        refusals: make the sentences.

    Returns:
        The version of the model that answers; "": the service does not say.

    Raises:
        ModelError: the service cannot score, or does not see.
    """
    answers = []
    for frames in _clips(frame_size):
        turn = ChatTurn(tuple(map(png, frames)), STAMPS, PROMPT.after_video(INSTRUCTION))
        answers.append(ask(turn))
        if not answers[-1].top:
            raise refusals.without_log_probs(
                "its answer holds none, as of a model that thinks before its first word"
            )
    first, second = answers
    if first.version != second.version:
        raise refusals.other_version(first.version, second.version)
    if first.top == second.top:
        raise refusals.blind()
    return first.version


def _clips(frame_size: tuple[int, int]) -> list[list[NDArray[np.uint8]]]:
    """Returns two videos that nobody takes for one another: stripes that move, and plain grey."""
    height, width = frame_size
    places = np.add.outer(np.arange(height) * 3, np.arange(width))
    stripes = [(places + shift) // max(2, width // 8) % 2 * 255 for shift in (0, width // 16)]
    moving = [np.stack([one, 255 - one, one // 2], -1).astype(np.uint8) for one in stripes]
    plain = [np.full((height, width, 3), grey, np.uint8) for grey in (60, 61)]
    return [moving, plain]
