"""A cache for models of which some layers keep a recurrent state in place of keys and values.

Such a state cannot be cut where the video ends. It is small and of fixed size, so it is copied
before the question goes through it and put back afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers.cache_utils import Cache, LinearAttentionLayer

from topreward_ros.models.runtime.kv_cache import PreallocatedLayer


@dataclass(frozen=True)
class Snapshot:
    """A point to come back to.

    Attributes:
        length: tokens held by the attention layers.
        states: a copy of the convolution and recurrent state of each recurrent layer.
    """

    length: int
    states: list[tuple[torch.Tensor, torch.Tensor]]


class SnapshotCache(Cache):
    """Preallocated keys and values for attention layers, states for the others."""

    def __init__(self, layer_types: Sequence[str], capacity: int) -> None:
        """Reserves `capacity` tokens.

        Args:
            layer_types: `full_attention` or `linear_attention` for each layer, as in the
                configuration; at least one of each.
            capacity: tokens that the attention layers hold at most.
        """
        recurrent = [kind == "linear_attention" for kind in layer_types]
        super().__init__(
            layers=[LinearAttentionLayer() if r else PreallocatedLayer(capacity) for r in recurrent]
        )
        self._attention = [layer for layer, r in zip(self.layers, recurrent, strict=True) if not r]
        self._recurrent = [layer for layer, r in zip(self.layers, recurrent, strict=True) if r]

    @property
    def length(self) -> int:
        """Number of tokens held."""
        return self._attention[0].length

    def mark(self) -> Snapshot:
        """Returns what `rewind` needs to come back to this point; some tokens must be held."""
        states = [tuple(state.clone() for state in _states(layer)) for layer in self._recurrent]
        return Snapshot(self.length, states)

    def rewind(self, mark: Snapshot) -> None:
        """Forgets every token that came after `mark`; a mark can be used again."""
        for layer in self._attention:
            layer.length = mark.length
        for layer, states in zip(self._recurrent, mark.states, strict=True):
            for mine, kept in zip(_states(layer), states, strict=True):
                mine.copy_(kept)

    def copy_from(self, other: SnapshotCache) -> None:
        """Takes over the tokens of another cache of the same model."""
        for mine, theirs in zip(self._attention, other._attention, strict=True):
            mine.copy_from(theirs)
        for mine, theirs in zip(self._recurrent, other._recurrent, strict=True):
            for state, taken in zip(_states(mine), _states(theirs), strict=True):
                state.copy_(taken)


def _states(layer: LinearAttentionLayer) -> tuple[torch.Tensor, torch.Tensor]:
    return layer.conv_states[0], layer.recurrent_states[0]
