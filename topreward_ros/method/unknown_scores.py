"""Log-probs that are no number, told in a sentence: what counts them as something says so."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def unknown_scores(curves: Iterable[Sequence[float]], *, censored: bool) -> str:
    """Says how many log-probs of some episodes are unknown; "" where none is.

    Args:
        curves: nats, one curve an episode.
        censored: whether that is because the service tells the most probable tokens alone.
    """
    counts = [(sum(map(math.isnan, curve)), len(curve)) for curve in curves]
    unknown, all_of_them = (sum(column) for column in zip(*counts, strict=True))
    if not unknown:
        return ""
    why = "the service tells the most probable tokens alone, and the answer is none of them"
    return (
        f"{unknown} of {all_of_them} log-probs, in {sum(bad > 0 for bad, _ in counts)} of "
        f"{len(counts)} episodes, are "
        + (f"censored ({why})" if censored else "no numbers")
        + ": they have no progress and no reward, and are never a success."
    )
