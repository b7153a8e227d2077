"""Asking one HTTP server: what is no answer, what is a refusal, and what came."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

import httpx2

from topreward_ros.models.contract import ModelError
from topreward_ros.models.served.address import in_the_clear
from topreward_ros.models.served.bounded_http import AnswerRefused, bounded_client
from topreward_ros.models.served.patience import ServerAway
from topreward_ros.printable import printable

KEY = "TOPREWARD_API_KEY"
"""The environment variable with the key of a server of one's own."""
OPEN_KEY = (
    f"The key in {KEY} goes to the server unencrypted, where others in this network can read it; "
    "use https, or a tunnel."
)
"""What a robot says where it is so."""
LONGEST_CONNECT = 2.0
"""s."""
LONGEST_REASON = 300
"""Characters of a server's own words that are passed on."""
BUSY = (408, 425, 429, 502, 503, 504)
"""HTTP's ways to say: not now."""


class Answer(NamedTuple):
    """What a server said.

    Attributes:
        status: of HTTP.
        body: the JSON object that came; empty where the body was none.
        reason: what a refusal says, in one line.
    """

    status: int
    body: dict[str, Any]
    reason: str


class Connection:
    """To one server; for one thread.

    Attributes:
        open_key: whether a key goes to another machine unencrypted.
    """

    def __init__(self, url: str) -> None:
        """Connects to nothing yet.

        Args:
            url: of the server, without a slash at its end.

        Raises:
            ModelError: the key cannot be sent.
        """
        key = os.environ.get(KEY, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ModelError(f"{KEY} holds characters that no key has; set it anew.")
        self._url = url
        self._client = bounded_client(url)
        if key:
            self._client.headers["authorization"] = f"Bearer {key}"
        self.open_key = bool(key) and in_the_clear(url)

    def ask(
        self, path: str, limit: float, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Asks once.

        Args:
            path: below the server's address, from its slash on.
            limit: s that an answer may take.
            body: sent by POST, what is no bytes as JSON; None: GET.
            headers: more of them.

        Raises:
            ModelError: the server refuses whoever asks, or is none of HTTP.
            ServerAway: no answer, or none that can be read.
        """
        timeout = httpx2.Timeout(limit, connect=min(limit, LONGEST_CONNECT))
        method = "GET" if body is None else "POST"
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        try:
            response = self._client.request(
                method, f"{self._url}{path}", **sent, headers=headers, timeout=timeout
            )
        except httpx2.TimeoutException:
            raise ServerAway(f"gave no answer within {limit:.1f} s", silent=True) from None
        except httpx2.ConnectError as error:
            if "CERTIFICATE" in str(error).upper():
                raise ModelError(
                    f"The certificate of {self._url} is not trusted ({_line(error)}); add its "
                    "authority to this machine, or name it in SSL_CERT_FILE."
                ) from None
            raise ServerAway(f"cannot be reached ({_line(error)})") from None
        except AnswerRefused as error:
            raise ModelError(f"The server {self._url} {error}; see what serves there.") from None
        except httpx2.HTTPError as error:
            raise ServerAway(f"broke its answer off ({_line(error)})") from None
        return self._read(response)

    def _read(self, response: httpx2.Response) -> Answer:
        status = response.status_code
        if status in (401, 403):
            raise ModelError(
                f"The server {self._url} refuses the key of this machine (HTTP {status}); set "
                f"{KEY} in the environment to the key that it was started with."
            )
        if 300 <= status < 400:
            raise ModelError(
                f"The server {self._url} wants to send this machine elsewhere (HTTP {status}), and "
                "it goes nowhere but where it is told; name the address that serves."
            )
        try:
            body = json.loads(response.content)
        except (ValueError, RecursionError):
            body = None
        if status in BUSY:
            raise ServerAway(f"is busy, or starting (HTTP {status})", _pause(response))
        if status < 300 and not isinstance(body, dict):
            raise ServerAway("sent an answer that is no JSON object")
        body = body if isinstance(body, dict) else {}
        return Answer(status, body, _reason(body) if status >= 300 else "")


def _pause(response: httpx2.Response) -> float:
    try:
        return min(max(float(response.headers.get("retry-after", "0")), 0.0), 60.0)
    except ValueError:
        return 0.0


def _reason(body: dict[str, Any]) -> str:
    error = body.get("error", body)
    message = error.get("message", "") if isinstance(error, dict) else error
    return _line(message)


def _line(text: object) -> str:
    return printable(" ".join(str(text).split()), LONGEST_REASON)
