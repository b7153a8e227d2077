"""What does not show the task being done: videos and questions on which a model must claim nothing.

Each exposes a model that judges by something else: the time that has gone by, the last picture, the
colours in it, or the names in the instruction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from topreward_ros.offline.evaluation.video import EpisodeVideo

SEED = 20260219
"""Of what is drawn by lot, so that two runs draw alike."""
WRONG_INSTRUCTION = "wrong instruction"
"""The task of another episode of the set; `scoring` knows them."""
COLOURS = ((217, 20, 18), (20, 158, 36), (20, 56, 230), (242, 242, 242))
OPPOSITES = {
    "put": "remove", "place": "remove", "insert": "remove", "remove": "insert", "open": "close",
    "close": "open", "push": "pull", "pull": "push", "pick": "drop", "lift": "drop",
    "grasp": "drop", "fold": "unfold", "stack": "unstack", "fill": "empty", "pour": "drink",
    "move": "break", "press": "unscrew", "wipe": "stain", "hang": "throw", "sort": "mix",
}  # fmt: skip
"""Of the verb with which an instruction begins."""


def _static(video: EpisodeVideo) -> EpisodeVideo:
    return replace(video, frames=(video.frames[0],) * len(video))


def _reversed(video: EpisodeVideo) -> EpisodeVideo:
    return replace(video, frames=video.frames[::-1])


def _shuffled(video: EpisodeVideo) -> EpisodeVideo:
    order = np.random.default_rng([SEED, len(video)]).permutation(len(video))
    return replace(video, frames=tuple(video.frames[index] for index in order))


def _frozen(video: EpisodeVideo) -> EpisodeVideo:
    middle = (len(video) - 1) // 2
    return replace(video, frames=tuple(video.frames[min(k, middle)] for k in range(len(video))))


def _black(video: EpisodeVideo) -> EpisodeVideo:
    return replace(video, frames=(np.zeros_like(video.frames[0]),) * len(video))


def _drawing(video: EpisodeVideo) -> EpisodeVideo:
    shape = video.frames[0].shape
    return replace(video, frames=tuple(_flat(shape, k, len(video)) for k in range(len(video))))


def _flat(shape: tuple[int, ...], index: int, count: int) -> NDArray[np.uint8]:
    """Two squares and two discs on plain grey; one square goes to one disc."""
    rng = np.random.default_rng([SEED, count])
    height, width = shape[:2]
    radius = min(height, width) / 9
    squares, discs = (rng.permutation(4)[:2] for _ in range(2))
    across = [width * (0.2 + 0.6 * (k + rng.uniform(0.2, 0.8)) / 4) for k in range(4)]
    down = height * rng.uniform(0.25, 0.75, 4)
    picture = np.full(shape, rng.integers(60, 200), np.uint8)
    rows, columns = np.ogrid[:height, :width]
    for place, colour in enumerate(discs):
        inside = (rows - down[place]) ** 2 + (columns - across[place]) ** 2 <= (1.3 * radius) ** 2
        picture[inside] = COLOURS[colour]
    done = index / max(1, count - 1)
    for place, colour in enumerate(squares, start=2):
        gone = done if place == 2 else 0.0
        row = down[place] + gone * (down[0] - down[place])
        column = across[place] + gone * (across[0] - across[place])
        inside = (abs(rows - row) <= radius) & (abs(columns - column) <= radius)
        picture[inside] = COLOURS[colour]
    return picture


CONTROLS: dict[str, Callable[[EpisodeVideo], EpisodeVideo]] = {
    "static": _static,
    "reversed": _reversed,
    "shuffled": _shuffled,
    "frozen": _frozen,
    "black": _black,
    "drawing": _drawing,
}
"""Videos by name: the first picture all the time, the video played backwards, its frames in an
order that is drawn by lot, the picture of its middle from there on, no picture at all, and a flat
drawing in which a square goes to a disc. Times stay as they are."""


def _negated(instruction: str) -> str:
    return f"do not {instruction}"


def _other_verb(instruction: str) -> str | None:
    verb, _, rest = instruction.partition(" ")
    other = OPPOSITES.get(verb.lower())
    return f"{other} {rest}" if other and rest else None


QUESTIONS: dict[str, Callable[[str], str | None]] = {
    "negation": _negated,
    "wrong verb": _other_verb,
}
"""What is asked about an episode's own video instead of its task, by name; None: there is no such
question about it."""
NAMES = (*CONTROLS, WRONG_INSTRUCTION, *QUESTIONS)
"""Of all controls, as `evaluate --controls` takes them with - for a space."""
