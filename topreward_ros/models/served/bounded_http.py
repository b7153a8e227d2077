"""The HTTP client under all others: no answer may fill the memory, or take for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx2

LARGEST_ANSWER = 4 * 2**20
"""Bytes. One token and twenty others are some 3 kB."""


class AnswerRefused(Exception):
    """An answer that is not read; the message says what it is, after the server's name."""


def bounded_client(url: str) -> httpx2.Client:
    """Returns a client that reads `LARGEST_ANSWER` bytes at most, and goes where it is told only.

    Answers are asked for without compression, of which a few bytes could become gigabytes.
    Redirections are not followed, as they would take the key elsewhere, and no proxy of the
    environment sees what is not encrypted.

    Args:
        url: of the server; "": an official one.
    """
    return httpx2.Client(
        headers={"accept-encoding": "identity"},
        follow_redirects=False,
        trust_env=not url.startswith("http:"),
        event_hooks={"response": [_bound]},
    )


def _bound(response: httpx2.Response) -> None:
    """Runs when the head of an answer is there, and nothing of its body."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise AnswerRefused("compresses its answer, which it was asked not to do")
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:30]) > LARGEST_ANSWER:
        raise _too_large()
    limit = response.request.extensions.get("timeout", {}).get("read")
    response.stream = _Bounded(response.stream, limit)


def _too_large() -> AnswerRefused:
    return AnswerRefused(
        f"sends an answer of more than {LARGEST_ANSWER // 2**20} MiB, where one token was asked for"
    )


class _Bounded(httpx2.SyncByteStream):
    """Ends the reading of a body that is too large, or comes drop by drop."""

    def __init__(self, stream: httpx2.SyncByteStream, limit: float | None) -> None:
        self._stream = stream
        self._limit = limit

    def __iter__(self) -> Iterator[bytes]:
        read, began = 0, time.monotonic()
        for chunk in self._stream:
            read += len(chunk)
            if read > LARGEST_ANSWER:
                raise _too_large()
            if self._limit is not None and time.monotonic() - began > self._limit:
                raise httpx2.ReadTimeout("The answer comes too slowly.")
            yield chunk

    def close(self) -> None:
        self._stream.close()
