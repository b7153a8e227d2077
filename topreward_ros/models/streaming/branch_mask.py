"""Attention masks by which several questions share one video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Branch:
    """Tokens that follow the video without seeing each other.

    Attributes:
        length: tokens of the branch.
        sees: how many of the tokens before all branches it follows.
    """

    length: int
    sees: int


def branch_mask(
    held: int, trunk: int, branches: Sequence[Branch], dtype: torch.dtype, device: torch.device
) -> torch.Tensor | None:
    """Returns the mask of one step over a trunk and branches, or None where causal is enough.

    It is additive and of the model's type: an eager attention takes a bool mask for numbers.

    Args:
        held: tokens in the cache.
        trunk: tokens of the step that all follow each other.
        branches: tokens of the step after the trunk.
        dtype: of the model.
        device: of the model.

    Returns:
        (1, 1, step, held + step), 0 where a token is seen, the type's minimum elsewhere.
    """
    before = held + trunk
    if len(branches) == 1 and branches[0].sees == before:
        return None
    step = trunk + sum(branch.length for branch in branches)
    seen = torch.zeros(step, held + step, dtype=torch.bool, device=device)
    seen[:trunk, :before] = _causal(trunk, before, device)
    row = trunk
    for branch in branches:
        rows = slice(row, row + branch.length)
        seen[rows, : branch.sees] = True
        seen[rows, held + row : held + row + branch.length] = _causal(
            branch.length, branch.length, device
        )
        row += branch.length
    mask = torch.zeros(seen.shape, dtype=dtype, device=device)
    return mask.masked_fill_(~seen, torch.finfo(dtype).min)[None, None]


def _causal(rows: int, columns: int, device: torch.device) -> torch.Tensor:
    ones = torch.ones(rows, columns, dtype=torch.bool, device=device)
    return ones.tril(columns - rows)
