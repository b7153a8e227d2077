"""Episodes as they are shown in training: whole, from later on, frozen, and as controls.

A control shows a success as it never was: backwards, in an order drawn by lot, or as a drawing
instead. Nothing was done in it, and that is what is taught.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tools.simulation.instructions import COLOURS, all_instructions, instruction_text
from tools.training.flat_drawings import flat_drawing
from tools.training.targets import FLOOR, SPAN, log_odds

MAX_FRAMES = 30
SHORT = 8
LATER = 0.2
"""Of the clips, those that begin later than the episode."""
FROZEN = 0.07
CONTROLS = {"reversed": 0.06, "shuffled": 0.06, "drawing": 0.03}
"""Share of the clips that are shown as each control; but a drawing, of successes alone."""


@dataclass
class Clip:
    """One episode as it is shown in one training step.

    Attributes:
        frames: (T, 96, 96, 3) uint8.
        stamps: (T,) seconds since the first frame.
        target: (T, 16) log-odds to be taught.
        shown: (T, 16) log-odds that each frame by itself would be taught; other than the target in
            a control alone.
        parts: (T, 6, 6, P) pixels of each part a visual token shows.
        colours: index of cube, disc, other cube, other disc.
        gripped: (T,) whether the cube is held.
        episode: number of the episode.
    """

    frames: NDArray[np.uint8]
    stamps: NDArray[np.float64]
    target: NDArray[np.float32]
    shown: NDArray[np.float32]
    parts: NDArray[np.uint8]
    colours: NDArray[np.int64]
    gripped: NDArray[np.bool_]
    episode: int


def whole_clip(number: int, episode: dict[str, np.ndarray]) -> Clip:
    """Shows an episode as it is."""
    stamps = episode["stamps"]
    target = log_odds(episode["progress"], stamps)
    return Clip(
        episode["frames"],
        stamps - stamps[0],
        target,
        target,
        episode["parts"],
        episode["colours"],
        episode["gripped"],
        number,
    )


def make_clip(
    number: int, episode: dict[str, np.ndarray], rng: np.random.Generator, *, short: bool = False
) -> Clip:
    """Shows an episode from its start, sometimes from later on, frozen, or as a control.

    Args:
        number: of the episode.
        episode: from `recorded_set.load`.
        rng: source of randomness.
        short: shows `SHORT` frames from anywhere instead.
    """
    clip = whole_clip(number, episode)
    total, done = len(clip.stamps), np.flatnonzero((clip.target > 0).any(axis=1))
    undone = int(done[0]) if len(done) else total
    if short:
        first = int(rng.integers(0, max(1, total - SHORT + 1)))
        return _shown(clip, np.arange(first, min(first + SHORT, total)))
    draw = rng.random()
    if draw < LATER and undone > 4:
        first = 2 * int(rng.integers(1, max(2, (undone - 1) // 2)))
        return _shown(clip, np.arange(first, total)[:MAX_FRAMES])
    draw -= LATER
    if 0 <= draw < FROZEN and undone > 1:
        frozen = np.full(int(rng.integers(12, MAX_FRAMES)), int(rng.integers(0, undone)))
        return replace(_shown(clip, frozen), stamps=np.arange(len(frozen)) * 0.5)
    draw -= FROZEN
    clip = _shown(clip, np.arange(total)[:MAX_FRAMES])
    for name, share in CONTROLS.items():
        if 0 <= draw < share and (name == "drawing" or (clip.target[-1] > 0).any()):
            return control_clip(clip, name, rng)
        draw -= share
    return clip


def control_clip(clip: Clip, name: str, rng: np.random.Generator) -> Clip:
    """Shows a clip as one of `CONTROLS`: nothing is done at any time of it."""
    total = len(clip.stamps)
    nothing = np.full_like(clip.target, FLOOR)
    if name == "drawing":
        drawn = flat_drawing(total, clip.frames.shape[1:3], rng)
        nowhere, held = np.zeros_like(clip.parts), np.zeros_like(clip.gripped)
        return replace(
            clip, frames=drawn, target=nothing, shown=nothing, parts=nowhere, gripped=held
        )
    rows = np.arange(total)[::-1] if name == "reversed" else rng.permutation(total)
    return replace(_shown(clip, rows), stamps=clip.stamps, target=nothing)


def _shown(clip: Clip, rows: NDArray[np.int64]) -> Clip:
    stamps = clip.stamps[rows]
    return replace(
        clip,
        frames=clip.frames[rows],
        stamps=stamps - stamps[0],
        target=clip.target[rows],
        shown=clip.shown[rows],
        parts=clip.parts[rows],
        gripped=clip.gripped[rows],
    )


def cube_states(taught: NDArray[np.float32], question: int) -> NDArray[np.float32]:
    """How far the cube of a question is on its way to a disc of each colour.

    Args:
        taught: log-odds of all instructions, shape (16,).
        question: index of an instruction.

    Returns:
        float32, shape (4,): 0 at the start, 1 when long done.
    """
    names, texts = list(COLOURS), all_instructions()
    cube = texts[question].split()[2]
    asked = [texts.index(instruction_text(cube, disc)) for disc in names]
    return ((taught[asked] - FLOOR) / SPAN).astype(np.float32)
