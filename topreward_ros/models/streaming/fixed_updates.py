"""The updates of one cache in fixed shapes, each made and checked when it is first needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch

from topreward_ros.models.backbone import Backbone, Chunk
from topreward_ros.models.contract import Rewind
from topreward_ros.models.runtime.kv_cache import PreallocatedCache
from topreward_ros.models.streaming.fixed_step import FixedStep

ROW_STEP = 32
"""Tokens by which the rows of steps differ, so that most questions share a step."""
SPANS = (1, 2, 4, 8)
"""Parts of the cache that a step may read: an early update need not read all of it."""
SPAN_STEP = 64
"""Tokens; masked attention is fast on whole blocks of them."""
MOST_STEPS = 16
"""Steps that are kept; each holds memory on the GPU."""
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Nats between a fixed step and the same one as it comes; by number format."""
HALF_TOLERANCE = 0.25
"""The same in 16 bits, which alone differ so much from float32."""

log = logging.getLogger(__name__)
Score = Callable[[], torch.Tensor]


class FixedUpdates:
    """Runs the usual updates, one unit of frames and one question, in fixed shapes.

    Attributes:
        refusal: why no update does any more; empty while they do.
    """

    def __init__(self, backbone: Backbone, cache: PreallocatedCache) -> None:
        """Makes no step yet.

        Args:
            backbone: the model.
            cache: its keys and values.
        """
        self.refusal = ""
        self._backbone = backbone
        self._cache = cache
        self._steps: dict[tuple[int, int], FixedStep] = {}
        if not backbone.capabilities.kv_append:
            self._refuse("the frames of this family see each other")
        elif backbone.capabilities.rewind is not Rewind.CROP:
            self._refuse("the linear attention of this family has no places to write to")

    def score(
        self, chunks: Sequence[Chunk], starts: Sequence[int], as_it_comes: Score
    ) -> torch.Tensor:
        """Runs one step behind the tokens that the cache holds.

        Args:
            chunks: the new units and the question.
            starts: the position at which each starts.
            as_it_comes: runs the same step without fixed shapes; it leaves its tokens in the
                cache, as this does.

        Returns:
            (1,) log-probability in nats.
        """
        shape = self._shape(chunks)
        if self.refusal or shape is None:
            return as_it_comes()
        held = self._cache.length
        step = self._steps.get(shape)
        if step is None:
            return self._first(shape, chunks, starts, as_it_comes)
        score = step.score(chunks, starts, held)
        self._cache.rewind(held + sum(map(len, chunks)))
        return score

    def turns(self, question: Chunk) -> list[int]:
        """Returns how many tokens the cache holds at the last update in each shape."""
        rows = self._rows(question)
        last = [] if self.refusal else [span - rows for span in self._spans()]
        return [held for held in last if held >= self._cache.length]

    def _shape(self, chunks: Sequence[Chunk]) -> tuple[int, int] | None:
        """Returns rows and span, None where the update is none of the usual."""
        if len(chunks) != 2:
            return None
        rows = self._rows(chunks[-1])
        fitting = [span for span in self._spans() if span >= self._cache.length + rows]
        if not fitting or sum(map(len, chunks)) > rows:
            return None
        shape = rows, fitting[0]
        return shape if shape in self._steps or len(self._steps) < MOST_STEPS else None

    def _rows(self, question: Chunk) -> int:
        return _up(self._backbone.unit_tokens + len(question), ROW_STEP)

    def _spans(self) -> list[int]:
        capacity = self._cache.layers[0].capacity
        return sorted({min(capacity, _up(capacity / part, SPAN_STEP)) for part in SPANS})

    def _first(
        self,
        shape: tuple[int, int],
        chunks: Sequence[Chunk],
        starts: Sequence[int],
        as_it_comes: Score,
    ) -> torch.Tensor:
        """Makes a step and holds it against the same one as it comes, whose score is returned."""
        held = self._cache.length
        expected = as_it_comes()
        after = self._cache.length
        self._cache.rewind(held)
        try:
            step = FixedStep(self._backbone, self._cache, chunks, shape)
            difference = (step.score(chunks, starts, held) - expected).abs().item()
        except RuntimeError as error:  # of CUDA, of memory, or of a model that asks the host
            self._refuse(f"an update cannot be recorded ({str(error).strip().splitlines()[0]})")
            self._cache.rewind(held)
            return as_it_comes()
        if not difference <= TOLERANCE.get(expected.dtype, HALF_TOLERANCE):
            self._refuse(f"a recorded update is off by {difference:.2g} nat")
            self._cache.rewind(held)
            return as_it_comes()
        self._steps[shape] = step
        self._cache.rewind(after)
        return expected

    def _refuse(self, reason: str) -> None:
        self.refusal = reason
        self._steps.clear()
        log.warning("Updates run without recorded CUDA graphs: %s.", reason)


def _up(number: float, step: int) -> int:
    return -int(-number // step) * step
