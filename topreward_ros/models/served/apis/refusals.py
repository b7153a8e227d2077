"""What a service says instead of an answer, as one sentence that tells what to do.

What may pass by itself is `ServerAway`, and asked for again; everything else a `ModelError`.
"""

from __future__ import annotations

import math
import re

import httpx2

from topreward_ros.models.contract import ModelError
from topreward_ros.models.served.address import Address
from topreward_ros.models.served.apis.keys import Key
from topreward_ros.models.served.bounded_http import AnswerRefused
from topreward_ros.models.served.patience import ServerAway

TRANSIENT = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""Statuses after which the same question may have an answer."""
GARBLED_PAUSE = 1.0
"""s before a service that answers nonsense is asked again: each question is paid for."""
_LOG_PROBS = re.compile(r"log[ _-]?prob", re.IGNORECASE)
_PICTURES = re.compile(r"image|picture|vision|multi-?modal|inline_?data", re.IGNORECASE)
_KEY = re.compile(r"api[ _-]?key", re.IGNORECASE)
_CONTENT = re.compile(r"content_(policy|filter)|safety|moderation", re.IGNORECASE)
_QUOTA = re.compile(r"insufficient_quota|per_?day", re.IGNORECASE)


class Refusals:
    """Of one model of one service."""

    def __init__(self, address: Address, key: Key) -> None:
        """Takes the names that sentences need, and the key that they must not hold."""
        self._address = address
        self._key = key

    def of_status(
        self, status: int, text: object, code: object = "", pause: float = 0.0
    ) -> Exception:
        """Returns what to raise for an answer with an HTTP status that is no success.

        Args:
            status: of HTTP.
            text: that the service says.
            code: with which it names the case.
            pause: s for which it asks to be left alone; 0.0: it does not say.
        """
        said = f"{status}: {self._key.hidden_in(text)}"
        words = f"{code} {text}"
        if status == 401 or (status == 400 and _KEY.search(words)):
            return self._of_key(status)
        if status == 402 or (status == 429 and _QUOTA.search(words)):
            return self._unusable(f"its quota is used up ({said}); see to its plan and billing")
        if status in TRANSIENT:
            what = "allows no more questions for now" if status == 429 else "has no answer for now"
            return ServerAway(f"{what} ({said})", pause)
        if _LOG_PROBS.search(words):
            return self.without_log_probs(said)
        if _CONTENT.search(words):
            return self.of_content(said)
        if status == 404:
            return self._unusable(
                f"the service {self._address.shown} has no model {self._address.model!r} for this "
                f"key ({said}); see its list of models, and the path of the address"
            )
        if status == 403:
            return self._unusable(
                f"the key in {self._key.variable} has no right to it ({said}); give it the right, "
                "or take another key or model"
            )
        if status == 413:
            return self._unusable(
                f"its pictures are too much for one question ({said}); set a smaller frame_size or "
                "max_pairs"
            )
        if _PICTURES.search(words):
            return self._unusable(f"it takes no pictures ({said}); take a model that sees")
        return self._unusable(f"the service refuses the question ({said}); see what it asks for")

    def of_network(self, error: Exception) -> Exception:
        """Returns what to raise where there was no whole answer."""
        if isinstance(error, AnswerRefused):
            return self._unusable(f"the service {error}; see what answers at this address")
        if isinstance(error, httpx2.TimeoutException):
            return ServerAway("gives no answer in time", silent=True)
        if isinstance(error, httpx2.ConnectError):
            reason = self._key.hidden_in(error)
            if "CERTIFICATE" in reason.upper():
                return self._unusable(f"its certificate does not hold ({reason}); mend it there")
            return ServerAway(f"cannot be reached ({reason})")
        return ServerAway(f"breaks its answer off ({self._key.hidden_in(error)})")

    def of_garbled(self, what: object) -> ServerAway:
        """Returns what to raise for an answer that is none of this interface."""
        return ServerAway(
            f"answers what is no answer of a chat API ({self._key.hidden_in(what)})", GARBLED_PAUSE
        )

    def of_content(self, why: object) -> ModelError:
        """Returns what to raise where the service does not want to answer."""
        return self._unusable(
            f"the service refuses to answer for the content ({self._key.hidden_in(why)}); see what "
            "the cameras show and the instruction says"
        )

    def without_log_probs(self, why: object) -> ModelError:
        """Returns what to raise where no log-probabilities are told."""
        return self._unusable(
            f"the service tells no log-probs of it ({self._key.hidden_in(why)}), and they are what "
            "is scored; take a model that has them"
        )

    def blind(self) -> ModelError:
        """Returns what to raise where other pictures change nothing."""
        return self._unusable(
            "it answers the very same to different pictures, so that it does not see them; take a "
            "model that sees"
        )

    def other_version(self, first: str, now: str) -> ModelError:
        """Returns what to raise where another version of the model answers than before."""
        first, now = self._key.hidden_in(first or "?"), self._key.hidden_in(now or "?")
        return self._unusable(
            f"the service answers with version {now} of it, and began with {first}; their scores "
            "do not compare, so configure anew"
        )

    def _of_key(self, status: int) -> ModelError:
        variable = self._key.variable
        if not self._key.secret:
            return self._unusable(f"its server wants a key ({status}); set {variable}")
        return self._unusable(
            f"the service does not accept the key in {variable} ({status}); set one that holds"
        )

    def _unusable(self, why: str) -> ModelError:
        return ModelError(f"The model {self._address.name} cannot be used: {why}.")


def asked_pause(text: object) -> float:
    """Returns the s of a `Retry-After` or `34.5s`; 0.0 where it is no such number."""
    match = re.fullmatch(r"\s*(\d{1,6}(?:\.\d{1,9})?)\s*s?\s*", str(text or ""), re.ASCII)
    seconds = float(match[1]) if match else 0.0
    return seconds if math.isfinite(seconds) else 0.0
