"""Keys and values in memory that is allocated once.

transformers' `DynamicLayer` concatenates the whole cache at every step; here a step writes its own
tokens in place, and taking tokens back is a change of length.
"""

from __future__ import annotations

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class PreallocatedLayer(CacheLayerMixin):
    """Keys and values of one attention layer, (1, heads, capacity, head_dim) each."""

    is_croppable = True
    is_sliding = False

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocates for the shapes, type and device of the first states."""
        self.keys = _room_for(key_states, self.capacity)
        self.values = _room_for(value_states, self.capacity)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Appends states in place and returns views of all that is held."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[-2]
        if end > self.capacity:
            raise RuntimeError(f"{end} tokens do not fit a cache of {self.capacity}.")
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        """Returns the number of tokens held."""
        return self.length

    def get_max_length(self) -> int:
        """Returns the number of tokens that fit."""
        return self.capacity

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Returns length and offset of the keys that a step of `query_length` tokens sees."""
        return self.length + query_length, 0

    def copy_from(self, other: PreallocatedLayer) -> None:
        """Takes over the tokens of another layer of the same shapes."""
        length = other.length
        self.keys[:, :, :length] = other.keys[:, :, :length]
        self.values[:, :, :length] = other.values[:, :, :length]
        self.length = length


def _room_for(states: torch.Tensor, capacity: int) -> torch.Tensor:
    batch, heads, _, size = states.shape
    # Zeros: what a mask hides must still be a number, or the sum with weight 0 is none.
    return states.new_zeros(batch, heads, capacity, size)


class PreallocatedCache(Cache):
    """One `PreallocatedLayer` for each layer of a language model."""

    def __init__(self, layers: int, capacity: int) -> None:
        """Reserves `capacity` tokens; memory is taken when the first states show their shape."""
        super().__init__(layers=[PreallocatedLayer(capacity) for _ in range(layers)])

    @property
    def length(self) -> int:
        """Number of tokens held."""
        return self.layers[0].length

    def mark(self) -> int:
        """Returns what `rewind` needs to come back to this point."""
        return self.length

    def rewind(self, mark: int) -> None:
        """Forgets every token that came after `mark`."""
        for layer in self.layers:
            layer.length = mark

    def copy_from(self, other: PreallocatedCache) -> None:
        """Takes over the tokens of another cache of the same model."""
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            mine.copy_from(theirs)
