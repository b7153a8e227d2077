"""Encoded units that a thinner video takes in again, in memory that is allocated once."""

from __future__ import annotations

from collections.abc import Callable

import torch

from topreward_ros.models.backbone import Backbone, Chunk


class UnitStore:
    """Units by their index in the episode."""

    def __init__(self, backbone: Backbone, capacity: int) -> None:
        """Allocates room for `capacity` units of a model."""
        like, tokens = backbone.preamble(), backbone.unit_tokens
        layers, width = 1 + backbone.deepstack_layers, like.embeds.shape[-1]
        self._features = like.embeds.new_zeros(capacity, layers, tokens, width)
        self._positions = like.positions.new_zeros(capacity, len(like.positions), tokens)
        self._visual = like.visual.new_zeros(capacity, tokens)
        self.clear()

    def clear(self) -> None:
        """Forgets all units."""
        self._units: dict[int, tuple[int, Chunk]] = {}
        self._free = list(range(len(self._features)))

    def put(self, index: int, unit: Chunk) -> None:
        """Copies a unit into a free room."""
        room = self._free.pop()
        embeds, *deepstack = self._features[room, :, : len(unit)].unbind()
        positions, visual = self._positions[room, :, : len(unit)], self._visual[room, : len(unit)]
        copied = Chunk(embeds, positions, unit.advance, visual, tuple(deepstack))
        for mine, theirs in zip(_tensors(copied), _tensors(unit), strict=True):
            mine.copy_(theirs)
        self._units[index] = room, copied

    def get(self, index: int) -> Chunk:
        """Returns a unit; it is valid until the unit is dropped."""
        return self._units[index][1]

    def retain(self, wanted: Callable[[int], bool]) -> None:
        """Drops the units whose index is not wanted."""
        for index in [index for index in self._units if not wanted(index)]:
            self._free.append(self._units.pop(index)[0])


def store_bytes(backbone: Backbone, capacity: int) -> int:
    """Returns the memory that a store takes, but for the few bytes of positions."""
    width = backbone.text_config.hidden_size * backbone.model.dtype.itemsize
    return capacity * (1 + backbone.deepstack_layers) * backbone.unit_tokens * width


def _tensors(chunk: Chunk) -> tuple[torch.Tensor, ...]:
    return chunk.embeds, chunk.positions, chunk.visual, *chunk.deepstack
