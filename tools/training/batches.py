"""Clips as training batches: one sequence a clip, many questions on it.

A sequence is the video once, then its branches (a tree mask), so that one forward scores all of
them as the package would score each alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tools.training.branches import BLOCKED, DISC_WORD, ClipLayout, Run
from tools.training.clips import Clip
from tools.training.model import normalised


def augmented(frames: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Varies light and adds noise to frames in -1..1, the same light for all of them."""
    gain = torch.from_numpy(rng.uniform(0.88, 1.12) * rng.uniform(0.96, 1.04, 3)).float()
    offset = float(rng.uniform(-0.06, 0.06))
    noise = float(rng.uniform(0.0, 0.03))
    return (frames * gain + offset + noise * torch.randn_like(frames)).clamp_(-1.0, 1.0)


@dataclass
class Batch:
    """Everything one step needs; B clips of V video tokens and P branches of G tokens.

    Attributes:
        ids: (B, V + P * G) token ids.
        positions: (3, B, V + P * G).
        visual: (B, V + P * G) bool.
        mask: (B * P, 1, G, V + G) additive.
        answers: (A, 2) clip and place of each question's last token.
        target: (A,) log-odds to be taught.
        words: (W, 3) clip, place, and the colour word that comes next.
        cube_words: (A, 2) clip and place of each question's cube colour.
        disc_words: (A, 2) clip and place of each question's disc colour.
        cube_state: (A, 4) how far that cube is for a disc of each colour, of 1; NaN where the
            question is none of this scene's.
        clips: the clips.
        pairs: (clip, first frame, last frame) of each pair, in the order of its tokens.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    visual: torch.Tensor
    mask: torch.Tensor
    answers: torch.Tensor
    target: torch.Tensor
    words: torch.Tensor
    cube_words: torch.Tensor
    disc_words: torch.Tensor
    cube_state: torch.Tensor
    clips: list[Clip]
    pairs: list[tuple[int, int, int]]

    def frames(self, rng: np.random.Generator | None) -> torch.Tensor:
        """The pairs' pixels in -1..1, (n, 2, 96, 96, 3), varied if `rng` is given."""
        shown = []
        for clip in self.clips:
            pixels = normalised(clip.frames)
            shown.append(pixels if rng is None else augmented(pixels, rng))
        return torch.stack(
            [torch.stack([shown[clip][a], shown[clip][b]]) for clip, a, b in self.pairs]
        )


class BatchMaker:
    """Puts clips that are laid out into one batch.

    Args:
        layout: lays each of them out.
    """

    def __init__(self, layout: ClipLayout) -> None:
        self._layout = layout

    def __call__(self, clips: list[Clip], rng: np.random.Generator) -> Batch:
        """Makes one batch."""
        laid = [self._layout(clip, rng) for clip in clips]
        video = max(run.length for run, _ in laid)
        count = max(len(branches) for _, branches in laid)
        size = max(branch.run.length for _, branches in laid for branch in branches)
        total = video + count * size
        ids = torch.zeros(len(clips), total, dtype=torch.long)
        positions = torch.zeros(3, len(clips), total, dtype=torch.long)
        visual = torch.zeros(len(clips), total, dtype=torch.bool)
        mask = torch.full((len(clips), count, 1, size, video + size), BLOCKED)
        mask[..., 0] = 0.0
        answers, cube_words, states, target, words, pairs = [], [], [], [], [], []

        def write(row: int, place: int, run: Run) -> None:
            for span, start in run.spans:
                here = slice(place, place + len(span))
                ids[row, here] = span.ids
                positions[:, row, here] = span.positions + start
                visual[row, here] = span.visual
                place += len(span)
            pairs.extend((row, first, last) for first, last in run.seen)

        for row, (run, branches) in enumerate(laid):
            write(row, 0, run)
            for number, branch in enumerate(branches):
                place = video + number * size
                write(row, place, branch.run)
                branch.allow(mask[row, number, 0], video)
                answers += [(row, place + at + length - 1) for at, length in branch.tails]
                target += branch.target
                cube_words += [(row, place + at) for at, _ in branch.tails]
                states += branch.states
                words += [(row, place + at, token) for at, token in branch.words]
        return Batch(
            ids,
            positions,
            visual,
            mask.flatten(0, 1),
            torch.tensor(answers),
            torch.tensor(target),
            torch.tensor(words, dtype=torch.long).view(-1, 3),
            torch.tensor(cube_words),
            torch.tensor(cube_words) + torch.tensor([0, DISC_WORD]),
            torch.from_numpy(np.stack(states)),
            clips,
            pairs,
        )
