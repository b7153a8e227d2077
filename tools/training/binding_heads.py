"""Training-only helpers: what the words of an instruction must find in the video.

At the cube's colour word, linear heads say how far that cube is on its way to a disc of each
colour; at the disc's colour word, how far the whole task is. This teaches the language model to
look up what it is asked about, where the answer's loss alone takes long to. They read the states
after a middle layer and after the last one, and are thrown away after training.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import smooth_l1_loss

from tools.simulation.instructions import COLOURS
from tools.training.batches import Batch
from tools.training.targets import FLOOR, SPAN


class BindingHeads(nn.Module):
    """Linear heads on the language model's states.

    Args:
        width: of a state.
        depths: after how many layers the states are read.
    """

    def __init__(self, width: int, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.depths = depths
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in depths)
        self.cube = nn.ModuleList(nn.Linear(width, len(COLOURS)) for _ in depths)
        self.task = nn.ModuleList(nn.Linear(width, 1) for _ in depths)

    def loss(self, states: tuple[torch.Tensor, ...], batch: Batch) -> torch.Tensor:
        """Mean loss over questions and depths.

        Args:
            states: (B, L, width) before the first layer and after each.
            batch: whose questions are meant.
        """
        known = ~torch.isnan(batch.cube_state).any(dim=1)  # questions of this scene
        task = (batch.target - FLOOR) / SPAN
        losses = []
        for depth, norm, cube, whole in zip(
            self.depths, self.norms, self.cube, self.task, strict=True
        ):
            at_cube = norm(states[depth][batch.cube_words[:, 0], batch.cube_words[:, 1]].float())
            at_disc = norm(states[depth][batch.disc_words[:, 0], batch.disc_words[:, 1]].float())
            losses.append(
                smooth_l1_loss(cube(at_cube)[known], batch.cube_state[known], beta=0.1)
                + smooth_l1_loss(whole(at_disc)[known, 0], task[known], beta=0.1)
            )
        return sum(losses) / len(losses)
