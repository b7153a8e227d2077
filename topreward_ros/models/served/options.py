"""What a robot says of a served model: how it is asked, not how it is loaded."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_PATIENCE = 10.0
"""s."""


@dataclass(frozen=True)
class ServedOptions:
    """How a served model is asked.

    Attributes:
        prompt: a `PromptForm`; None: the checkpoint's own, else raw.
        frame_size: (height, width) px; None: the checkpoint's own, else the family's.
        max_pairs: units of frames kept at most, even, at least 4.
        patience: s that a question waits for a server which does not answer.
    """

    prompt: str | None
    frame_size: tuple[int, int] | None
    max_pairs: int
    patience: float = DEFAULT_PATIENCE
