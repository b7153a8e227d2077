"""The running average of a model's weights: it is what is judged and saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class RunningAverage:
    """Follows a model's weights.

    Args:
        model: whose weights they are.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model
        self.weights: list[torch.Tensor] = []
        self.restart()

    def restart(self) -> None:
        """Begins at the weights as they are."""
        self.weights = [p.detach().clone() for p in self._model.parameters()]

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Takes the weights in after a step; early ones are soon forgotten."""
        keep = min(0.985, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.weights, list(self._model.parameters()), 1.0 - keep)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Lets the model have the average as its weights for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, other in zip(self._model.parameters(), self.weights, strict=True):
            held = parameter.clone()
            parameter.copy_(other)
            other.copy_(held)
