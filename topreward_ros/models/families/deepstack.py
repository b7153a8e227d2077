"""DeepStack: vision features that are added after the first language layers.

transformers adds them at boolean places, for which a GPU must tell the host how many there are.
Here they come as wide as the step, zero where there is no picture, and are simply added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


class DeepStack:
    """Adds features to the outputs of a language model's first layers, while it is told to."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        """Listens to the layers.

        Args:
            layers: of the language model; as many as there are features.
        """
        self._features: Sequence[torch.Tensor] = ()
        for depth, layer in enumerate(layers):
            layer.register_forward_hook(
                lambda _layer, _inputs, output, depth=depth: self._add(depth, output)
            )

    @contextmanager
    def adding(self, features: Sequence[torch.Tensor]) -> Iterator[None]:
        """Adds features to whatever runs inside.

        Args:
            features: (n, hidden) for each layer; none: nothing is added.
        """
        self._features = features
        try:
            yield
        finally:
            self._features = ()

    def _add(self, depth: int, output: torch.Tensor) -> torch.Tensor:
        return output + self._features[depth].to(output.dtype) if self._features else output
