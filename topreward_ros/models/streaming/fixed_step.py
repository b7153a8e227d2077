"""A step of the language model in shapes that are always the same.

However many tokens a step has, it runs as one of `rows` tokens over the first `span` places of the
cache; what is too much comes last, where no other token sees it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from topreward_ros.models.backbone import Backbone, Chunk
from topreward_ros.models.runtime.cuda_graph import GraphedFunction
from topreward_ros.models.runtime.kv_cache import PreallocatedCache, PreallocatedLayer

_Shape = tuple[int, int]
"""Rows and span."""


class FixedStep:
    """One shape of a step over one cache.

    Attributes:
        rows: tokens that it runs.
        span: places of the cache that it reads and writes.
    """

    def __init__(
        self, backbone: Backbone, cache: PreallocatedCache, like: Sequence[Chunk], shape: _Shape
    ) -> None:
        """Allocates the inputs and records the step, which writes behind the tokens held.

        Args:
            backbone: the model.
            cache: with states of each layer already.
            like: chunks of such a step.
            shape: rows and span.

        Raises:
            RuntimeError: the step cannot be recorded.
        """
        self.rows, self.span = shape
        self._backbone = backbone
        embeds, device = like[0].embeds, backbone.device
        layers = max(len(chunk.deepstack) for chunk in like)
        self._embeds = embeds.new_zeros(self.rows, embeds.shape[1])
        self._positions = like[0].positions.new_zeros(len(like[0].positions), self.rows)
        self._deepstack = tuple(torch.zeros_like(self._embeds) for _ in range(layers))
        self._held = torch.full((1,), cache.length, device=device)
        self._last = torch.zeros(1, dtype=torch.long, device=device)
        self._row = torch.arange(self.rows, device=device)
        self._place = torch.arange(self.span, device=device)
        self._view = _CacheView(cache, self.span)
        self._run = GraphedFunction(self._step, device)

    def score(self, chunks: Sequence[Chunk], starts: Sequence[int], held: int) -> torch.Tensor:
        """Writes the chunks behind `held` tokens of the cache and reads the answer after the last.

        Args:
            chunks: of at most `rows` tokens.
            starts: the position at which each chunk starts.
            held: tokens of the cache that they follow.

        Returns:
            (1,) log-probability in nats.
        """
        first = 0
        for chunk, start in zip(chunks, starts, strict=True):
            here = slice(first, first + len(chunk))
            self._embeds[here] = chunk.embeds
            self._positions[:, here] = chunk.positions + start
            for depth, features in enumerate(self._deepstack):
                features[here] = chunk.deepstack[depth] if chunk.deepstack else 0.0
            first = here.stop
        self._held.fill_(held)
        self._last.fill_(first - 1)
        return self._run().clone()

    def _step(self) -> torch.Tensor:
        slots = self._held + self._row
        self._view.slots = slots
        hidden_from = self._place > slots[:, None]
        mask = torch.zeros(hidden_from.shape, dtype=self._embeds.dtype, device=slots.device)
        mask.masked_fill_(hidden_from, torch.finfo(mask.dtype).min)
        chunk = Chunk(self._embeds, self._positions, self.rows, self._row >= 0, self._deepstack)
        hidden = self._backbone.hidden([chunk], [0], self._view, mask[None, None])
        return self._backbone.answer(hidden.index_select(0, self._last))


class _CacheView(Cache):
    """The first places of another cache, written at places that a tensor names."""

    def __init__(self, cache: PreallocatedCache, span: int) -> None:
        super().__init__(layers=[_LayerView(layer, span, self) for layer in cache.layers])
        self.slots: torch.Tensor


class _LayerView(CacheLayerMixin):
    is_sliding = False

    def __init__(self, layer: PreallocatedLayer, span: int, view: _CacheView) -> None:
        super().__init__()
        self.keys, self.values = layer.keys[:, :, :span], layer.values[:, :, :span]
        self.is_initialized = True
        self._view = view

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing is left to allocate."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes states at the named places and returns the whole span."""
        self.keys.index_copy_(2, self._view.slots, key_states)
        self.values.index_copy_(2, self._view.slots, value_states)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Returns the places that a step sees; which of them count, its mask says."""
        return self.keys.shape[2]

    def get_max_length(self) -> int:
        """Returns the same."""
        return self.keys.shape[2]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Returns length and offset of the keys that a step sees."""
        return self.keys.shape[2], 0
