"""How the server of a model fares: told by whoever asks it, read by whoever tells people."""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

import numpy as np

KEPT_TIMES = 100
"""Answers whose times are looked at."""


class News(NamedTuple):
    """Something that has happened.

    Attributes:
        lost: whether the server went away; else it is back.
        detail: one sentence.
    """

    lost: bool
    detail: str


class ServerHealth:
    """Of one server. Any thread may call anything.

    Attributes:
        address: of the server, without keys.
        release: set while nobody needs the answer that is waited for any more.
    """

    def __init__(self, address: str) -> None:
        """Knows of no trouble."""
        self.address = address
        self.release = threading.Event()
        self._lock = threading.Lock()
        self._trouble = ""
        self._news: deque[News] = deque()
        self._times: deque[float] = deque(maxlen=KEPT_TIMES)
        self._resent = 0

    @property
    def trouble(self) -> str:
        """Why the server gives no answer now, one sentence; "" while it does."""
        with self._lock:
            return self._trouble

    @property
    def resent(self) -> int:
        """How often a whole video was sent again."""
        with self._lock:
            return self._resent

    def lost(self, detail: str) -> None:
        """Notes that the server gave no answer; only the first of a row is news."""
        with self._lock:
            if not self._trouble:
                self._news.append(News(True, detail))
            self._trouble = detail

    def answered(self, seconds: float) -> None:
        """Notes an answer, and how long it took."""
        with self._lock:
            self._times.append(seconds)
            if self._trouble:
                self._news.append(News(False, f"The server {self.address} answers again."))
            self._trouble = ""

    def sent_again(self) -> None:
        """Notes that the server had lost the video, and got all of it once more."""
        with self._lock:
            self._resent += 1

    def news(self) -> list[News]:
        """Takes what has happened since the last call, oldest first."""
        with self._lock:
            news = list(self._news)
            self._news.clear()
            return news

    def percentiles(self) -> tuple[float, float]:
        """Returns median and 95th percentile of the last answers' times in s; NaN before one."""
        with self._lock:
            times = list(self._times)
        if not times:
            return float("nan"), float("nan")
        middle, high = np.percentile(times, [50, 95])
        return float(middle), float(high)
