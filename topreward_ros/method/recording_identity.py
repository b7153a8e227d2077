"""What labelled recordings are known by, so that one attempt is not counted for two.

A text: the digest of a recording's data, and for a part of it `@` with its start and end in s.
"""

from __future__ import annotations

import math


def part_identity(digest: str, start: float, end: float) -> str:
    """Returns what a part of a recording is known by.

    Args:
        digest: of the whole recording.
        start: s of its pictures' stamps.
        end: the same.
    """
    return f"{digest}@{start!r}..{end!r}"


def share_pictures(one: str, other: str) -> bool:
    """Says whether two identities are of the same pictures, or of some that both have."""
    (digest, start, end), (digest_too, start_too, end_too) = _read(one), _read(other)
    return digest == digest_too and max(start, start_too) < min(end, end_too)


def _read(identity: str) -> tuple[str, float, float]:
    digest, _, part = identity.partition("@")
    try:
        start, end = map(float, part.split(".."))
    except ValueError:  # the whole recording
        return digest, -math.inf, math.inf
    return digest, start, end
