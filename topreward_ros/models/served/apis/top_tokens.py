"""What a service tells of the one token that it writes: the most probable ones, and no other."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

TOP = 20
"""Tokens that are asked for; the services tell no more."""
NO_VALUE = -1000.0
"""Nats. Services write -9999.0 and the like for what they do not tell; no probability that a model
computes in 32 bits is that small."""
ROUNDING = 1e-3
"""Nats by which a log-probability may be above 0."""


@dataclass(frozen=True)
class Answer:
    """One answer of a service.

    Attributes:
        top: the most probable tokens and their log-probabilities in nats, as they were told; empty
            where none were.
        version: of the model, as the service names it; "": it names none.
    """

    top: tuple[tuple[str, float], ...]
    version: str = ""

    def log_prob(self, token: str) -> float:
        """Returns log p(token) in nats, at most 0; NaN where it is not told.

        Another spelling, such as one with a space before it, is another token.

        Raises:
            ValueError: it is none of a probability.
        """
        told = [value for text, value in self.top if text == token]
        values = [value for value in told if not math.isnan(value) and value > NO_VALUE]
        if not values:
            return math.nan
        if max(values) > ROUNDING:
            raise ValueError(f"a log-prob of {max(values):g}, which must be at most 0")
        return min(max(values), 0.0)


def top_tokens(told: Iterable[tuple[object, object]]) -> tuple[tuple[str, float], ...]:
    """Returns tokens with their log-probabilities, without what is no such pair."""
    return tuple(
        (text, float(value))
        for text, value in told
        if isinstance(text, str)
        if isinstance(value, int | float) and not isinstance(value, bool)
    )
