"""Qwen's vision tower over one pair of frames, in fixed shapes.

All pairs of an episode have one size, so what the tower computes from that size is computed once.
It is given to it through the arguments by which transformers takes such tensors; the lengths of
its attention stay with the host, which asks for them in every layer.
"""

from __future__ import annotations

import logging

import torch
from torch import nn

from topreward_ros.models.runtime.cuda_graph import GraphedFunction

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}
HALF_TOLERANCE = 0.1
"""Largest difference of a feature, of the features' root mean square; in 16 bits."""

log = logging.getLogger(__name__)
Features = tuple[torch.Tensor, tuple[torch.Tensor, ...]]
"""(tokens, hidden) features of a pair, and what DeepStack adds."""


class PairTower:
    """Encodes one pair of frames after the other; recorded on a GPU.

    Attributes:
        fixed: whether to run in fixed shapes; set it before the first pair.
        refusal: why that cannot be; empty while it can.
    """

    def __init__(self, tower: nn.Module, thw: torch.Tensor) -> None:
        """Runs as it comes until `fixed` is set.

        Args:
            tower: the model's.
            thw: (1, 3) size of a pair in patches, on the tower's device.
        """
        self.fixed = False
        self.refusal = ""
        self._tower = tower
        self._thw = thw
        self._patches: torch.Tensor | None = None
        self._run: GraphedFunction[Features] | None = None

    def __call__(self, patches: torch.Tensor) -> Features:
        """Encodes a pair.

        Args:
            patches: (patches, values) as `patchify` makes them, on the tower's device.
        """
        if not self.fixed:
            return self._encode(patches.type(self._tower.dtype), self._thw)
        if self._run is None:
            return self._first(patches.type(self._tower.dtype))
        self._patches.copy_(patches)
        features, deepstack = self._run()
        return features.clone(), tuple(layer.clone() for layer in deepstack)

    def encode(self, patches: torch.Tensor, pairs: int) -> Features:
        """Encodes several pairs as they come; none attends to another.

        Args:
            patches: (pairs * patches, values), one pair after the other.
            pairs: how many.
        """
        several = self._thw * torch.tensor([pairs, 1, 1], device=self._thw.device)
        return self._encode(patches.type(self._tower.dtype), several)

    def _encode(self, patches: torch.Tensor, thw: torch.Tensor, **known: torch.Tensor) -> Features:
        output = self._tower(patches, grid_thw=thw, return_dict=True, **known)
        return output.pooler_output, tuple(getattr(output, "deepstack_features", None) or ())

    def _first(self, patches: torch.Tensor) -> Features:
        """Records, and holds the result against the tower's as it comes, which is returned."""
        expected = self._encode(patches, self._thw)
        try:
            self._patches, known = patches.clone(), self._known()
            self._run = GraphedFunction(
                lambda: self._encode(self._patches, self._thw, **known), patches.device
            )
            off = _difference(self._run(), expected)
        except (RuntimeError, TypeError, ImportError) as error:
            self._refuse(f"it cannot be recorded ({str(error).strip().splitlines()[0]})")
            return expected
        if not off <= TOLERANCE.get(patches.dtype, HALF_TOLERANCE):
            self._refuse(f"recorded, it is off by {off:.2g} of its features")
        return expected

    def _known(self) -> dict[str, torch.Tensor]:
        """What the tower would compute from the size of a pair each time."""
        from transformers.models.qwen3_vl.modeling_qwen3_vl import (
            get_vision_interpolation_indices_and_weights,
            get_vision_position_ids,
        )

        tower, merge = self._tower, self._tower.spatial_merge_size
        indices, weights = get_vision_interpolation_indices_and_weights(
            self._thw,
            num_grid_per_side=tower.num_grid_per_side,
            mode=tower.interpolation_mode,
            align_corners=tower.interpolation_align_corners,
            spatial_merge_size=merge,
        )
        return {
            "interp_indices": indices,
            "interp_weights": weights,
            "position_ids": get_vision_position_ids(self._thw, merge),
            "cu_seqlens": torch.tensor([0, int(self._thw.prod())], dtype=torch.int32),
        }

    def _refuse(self, reason: str) -> None:
        self.fixed, self.refusal, self._run = False, reason, None
        log.warning("The vision tower runs without a recorded CUDA graph: %s.", reason)


def _difference(some: Features, others: Features) -> float:
    """Largest difference of a feature, relative to their root mean square."""
    pairs = zip([some[0], *some[1]], [others[0], *others[1]], strict=True)
    return max(
        ((one - other).abs().max() / other.square().mean().sqrt()).item() for one, other in pairs
    )
