"""HTTP to one server: bounded in time and size, and every failure one sentence."""

from __future__ import annotations

import os
import ssl
import time
from typing import NoReturn

import httpx2

from topreward_ros.models.contract import ModelError
from topreward_ros.models.served.patience import ServerAway
from topreward_ros.models.served.ray_serve.fields import Fields, WireError
from topreward_ros.printable import printable

KEY = "TOPREWARD_API_KEY"
"""The environment variable."""
LONGEST_PAUSE_ASKED = 60.0
"""s that a server may ask to be left alone for."""


class Refused(Exception):
    """An answer that says no; asking again would not change it.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Http:
    """Asks one server."""

    def __init__(self, url: str, largest: int) -> None:
        """Connects to nothing yet.

        Args:
            url: of the server.
            largest: bytes of an answer.
        """
        self._url, self._largest = url, largest
        key = os.environ.get(KEY, "")
        if not key.isascii() or not key.isprintable():
            raise ModelError(f"{KEY} holds letters that a key cannot have; set it to the server's.")
        # By the system's certificates, or those of SSL_CERT_FILE; no proxy stands before a server
        # of one's own.
        self._client = httpx2.Client(
            verify=ssl.create_default_context(),
            headers={
                "Accept-Encoding": "identity",
                **({"Authorization": f"Bearer {key}"} if key else {}),
            },
            follow_redirects=False,
            trust_env=False,
        )

    def get(self, path: str, limit: float) -> bytes:
        """Returns what is there; see `post`."""
        return self._ask("GET", path, None, {}, limit)

    def post(self, path: str, body: bytes, headers: dict[str, str], limit: float) -> bytes:
        """Sends a body.

        Args:
            path: below the server's address.
            body: of the request.
            headers: of it.
            limit: s that it may take.

        Returns:
            The body of the answer.

        Raises:
            ServerAway: there is no answer now, and may be one later.
            Refused: the answer is no.
        """
        return self._ask("POST", path, body, headers, limit)

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], limit: float
    ) -> bytes:
        end = time.monotonic() + limit
        try:
            with self._client.stream(
                method, self._url + path, content=body, headers=headers, timeout=limit
            ) as response:
                text = self._body(response, end)
        except httpx2.TimeoutException:
            raise ServerAway(f"did not answer within {limit:.1f} s") from None
        except httpx2.ConnectError as error:
            if isinstance(_root(error), ssl.SSLCertVerificationError):
                raise ModelError(
                    f"The certificate of {self._url} is not one that this machine trusts "
                    f"({printable(error, 200)}); name its authority's file in SSL_CERT_FILE."
                ) from None
            raise ServerAway(f"cannot be reached ({printable(error, 200)})") from None
        except httpx2.HTTPError as error:
            words = printable(error, 200) or type(error).__name__
            raise ServerAway(f"broke off its answer ({words})") from None
        if response.status_code != 200:
            self._refuse(response, text)
        return text

    def _body(self, response: httpx2.Response, end: float) -> bytes:
        parts, size = [], 0
        for part in response.iter_raw():
            size += len(part)
            if size > self._largest:
                raise ModelError(
                    f"The server {self._url} sends an answer of more than {self._largest} bytes, "
                    "as no server of this package does; see the address."
                )
            if time.monotonic() > end:
                raise ServerAway("did not end its answer in time")
            parts.append(part)
        return b"".join(parts)

    def _refuse(self, response: httpx2.Response, text: bytes) -> NoReturn:
        status = response.status_code
        if status in (408, 429) or status >= 500:
            words = f"is busy or in trouble ({_words(status, text)})"
            raise ServerAway(words, _pause(response.headers.get("retry-after", "")))
        if status == 401:
            raise ModelError(
                f"The server {self._url} does not take the key in {KEY}; set it to the server's."
                if os.environ.get(KEY)
                else f"The server {self._url} asks for a key; set {KEY} to the server's."
            )
        raise Refused(status, _words(status, text))


def _words(status: int, text: bytes) -> str:
    try:
        return Fields(text, "answer").text("error", 2000)
    except WireError:
        return f"HTTP {status}"


def _pause(text: str) -> float:
    try:
        return min(max(float(text), 0.0), LONGEST_PAUSE_ASKED)
    except ValueError:  # none, or a date
        return 0.0


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
