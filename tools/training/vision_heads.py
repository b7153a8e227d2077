"""Training-only helpers: what the vision tower's output must tell, token by token.

Linear heads read each visual token and say which cube and disc colours it shows, and whether the
jaws are there; and at a cube's token how far the task has come for a disc of each colour. The
truth is the simulation's. The heads are thrown away after training.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss

from tools.simulation.instructions import COLOURS, all_instructions
from tools.training.clips import Clip, cube_states
from tools.training.targets import FLOOR, NEARLY, SPAN

VISIBLE = 5
"""Pixels from which on a token shows a part."""

OVER = (NEARLY - FLOOR) * 0.84 / SPAN
"""State from which on the cube is above the disc."""
PLACED = (0.0 - FLOOR) / SPAN
"""State from which on the task is done."""

_NAMES = list(COLOURS)
_ABOUT = [
    next(i for i, text in enumerate(all_instructions()) if text.split()[2] == name)
    for name in _NAMES
]
"""For each colour, an instruction that asks about a cube of it."""


class VisionHeads(nn.Module):
    """Linear heads on merged visual tokens.

    Args:
        width: of a visual token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.shows = nn.Linear(width, 2 * len(_NAMES) + 1)
        self.state = nn.Linear(width, 3 * len(_NAMES) + 1)

    def loss(self, features: torch.Tensor, truth: PairTruth) -> torch.Tensor:
        """Mean loss over pairs.

        Args:
            features: (n, tokens, width).
            truth: of the same pairs.
        """
        features = self.norm(features.float())
        shown = binary_cross_entropy_with_logits(self.shows(features), truth.shows)
        if not len(truth.cube_token):  # no cube is to be seen
            return 4.0 * shown
        state = self.state(features[truth.cube_pair, truth.cube_token])
        far, over, done = state[:, :-1].unflatten(1, (3, -1)).unbind(1)
        wanted = truth.cube_state
        how_far = smooth_l1_loss(far, wanted, beta=0.1)
        is_over = binary_cross_entropy_with_logits(over, (wanted >= OVER).float())
        is_done = binary_cross_entropy_with_logits(done, (wanted >= PLACED).float())
        held = binary_cross_entropy_with_logits(state[:, -1], truth.cube_held)
        return 4.0 * shown + 3.0 * how_far + 2.0 * is_over + 3.0 * is_done + 0.5 * held


class PairTruth:
    """What is true of the last frame of each of several pairs.

    Args:
        clips: where the pairs are from.
        where: (clip, first frame, last frame) of each pair.
    """

    def __init__(self, clips: list[Clip], where: list[tuple[int, int, int]]) -> None:
        shows, pairs, tokens, states, helds = [], [], [], [], []
        for index, (number, _, frame) in enumerate(where):
            clip = clips[number]
            parts = clip.parts[frame].reshape(-1, clip.parts.shape[-1])
            row = np.zeros((len(parts), 2 * len(_NAMES) + 1), np.float32)
            cube, disc, other_cube, other_disc = clip.colours
            for part, place in ((0, cube), (1, other_cube), (2, 4 + disc), (3, 4 + other_disc)):
                row[:, place] = np.maximum(row[:, place], parts[:, part] >= VISIBLE)
            row[:, -1] = parts[:, 4] >= VISIBLE
            shows.append(row)
            for part, colour in ((0, cube), (1, other_cube)):
                token = int(parts[:, part].argmax())
                if parts[token, part] < 2 * VISIBLE:
                    continue
                state = cube_states(clip.shown[frame], _ABOUT[colour])
                pairs.append(index)
                tokens.append(token)
                states.append(state)
                helds.append(float(part == 0 and clip.gripped[frame]))
        self.shows = torch.from_numpy(np.stack(shows))
        self.cube_pair = torch.tensor(pairs, dtype=torch.long)
        self.cube_token = torch.tensor(tokens, dtype=torch.long)
        self.cube_state = torch.from_numpy(np.reshape(states, (-1, len(_NAMES))).astype(np.float32))
        self.cube_held = torch.tensor(helds)
