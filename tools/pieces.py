"""Long work in pieces: how long is left, when this piece is over, and how it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

UNFINISHED = 75
"""Exit status of work that goes on where it stopped when it is started again (EX_TEMPFAIL)."""
PIECE_MINUTES = 110.0
"""Of one piece, if nothing else is asked for: under two hours."""
SAY_EVERY = 30.0
"""Seconds between two lines on how far it has come."""


class Piece:
    """One piece of a long work.

    Args:
        minutes: of this piece at most.
        name: of the work, for people.
        clock: seconds; never goes back.
        say: tells people a line.
    """

    def __init__(
        self,
        minutes: float,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = lambda text: print(text, flush=True),
    ) -> None:
        self._clock, self._say, self._name = clock, say, name
        self._begin = clock()
        self._seconds = minutes * 60.0
        self._said = self._begin - SAY_EVERY

    @property
    def over(self) -> bool:
        """Whether the minutes are over."""
        return self.spent >= self._seconds

    @property
    def spent(self) -> float:
        """Seconds of this piece."""
        return self._clock() - self._begin

    @property
    def minutes_left(self) -> float:
        """Minutes until this piece is over; never below 0."""
        return max(0.0, (self._seconds - self.spent) / 60.0)

    def tell(self, done: int, total: int, before: int, unit: str) -> None:
        """Says how far the work has come, every `SAY_EVERY` seconds and at its end.

        Args:
            done: of the whole work, those of former pieces too.
            total: of the whole work.
            before: done by former pieces.
            unit: what is counted.
        """
        if done < total and self._clock() - self._said < SAY_EVERY:
            return
        self._said = self._clock()
        left = "" if done <= before else f", {self._left(done, total, before):.0f} min left"
        self._say(f"{self._name}: {done} of {total} {unit}{left}")

    def _left(self, done: int, total: int, before: int) -> float:
        return self.spent / (done - before) * (total - done) / 60.0
