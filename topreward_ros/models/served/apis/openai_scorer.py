"""Models behind OpenAI's chat completions, at OpenAI or wherever a server speaks the same."""

from __future__ import annotations

import base64
from typing import Any

import httpx2
import openai

from topreward_ros.models.served.address import Address
from topreward_ros.models.served.apis.api_scorer import ApiScorer, check_form
from topreward_ros.models.served.apis.chat_turn import ChatTurn
from topreward_ros.models.served.apis.keys import Key, find_key
from topreward_ros.models.served.apis.refusals import Refusals, asked_pause
from topreward_ros.models.served.apis.top_tokens import TOP, Answer, top_tokens
from topreward_ros.models.served.bounded_http import AnswerRefused, bounded_client
from topreward_ros.models.served.options import ServedOptions

OFFICIAL = "https://api.openai.com/v1"
"""Written here, so that no variable of the environment takes `openai:<model>` elsewhere."""
LIMITS = ("max_tokens", "max_completion_tokens")
"""Names of the one number of tokens that are written."""


def open_openai(address: Address, options: ServedOptions) -> ApiScorer:
    """Opens a model by `openai:<model>` or `openai+http://<host>:<port>/v1#<model>`.

    Raises:
        ModelError: it cannot be used; the message says why and what to do.
    """
    check_form(address, options)
    key = find_key(address)
    refusals = Refusals(address, key)
    return ApiScorer(address, options, OpenAIService(address, key, refusals), refusals)


class OpenAIService:
    """See `ChatService`."""

    def __init__(self, address: Address, key: Key, refusals: Refusals) -> None:
        """Sends nothing yet."""
        self.backend = f"openai {address.model}"
        self._model = address.model
        self._refusals = refusals
        # OpenAI's newer models take the second name alone, and many other servers the first.
        self._limits = list(LIMITS if address.url else reversed(LIMITS))
        self._client = openai.OpenAI(
            api_key=key.secret or "none",
            base_url=address.url or OFFICIAL,
            max_retries=0,
            http_client=bounded_client(address.url),
        )

    def ask(self, turn: ChatTurn, limit: float) -> Answer:
        """See `ChatService.ask`."""
        try:
            return self._ask(turn, limit)
        except openai.APIStatusError as error:
            if error.status_code == 400 and self._limits[1:] and self._limits[1] in str(error):
                del self._limits[0]
                return self.ask(turn, limit)
            raise self._of_status(error) from None
        except openai.APITimeoutError:
            raise self._refusals.of_network(httpx2.ReadTimeout("")) from None
        except openai.APIConnectionError as error:
            raise self._refusals.of_network(error.__cause__ or error) from None
        except (httpx2.HTTPError, AnswerRefused) as error:
            raise self._refusals.of_network(error) from None
        except (ValueError, RecursionError, openai.OpenAIError) as error:
            raise self._refusals.of_garbled(error) from None

    def _ask(self, turn: ChatTurn, limit: float) -> Answer:
        told = self._client.chat.completions.with_raw_response.create(
            model=self._model,
            messages=[{"role": "user", "content": list(map(_part, turn.parts()))}],
            temperature=0,
            logprobs=True,
            top_logprobs=TOP,
            timeout=limit,
            **{self._limits[0]: 1},
        )
        return self._read(told.http_response.json())

    def _of_status(self, error: openai.APIStatusError) -> Exception:
        body = error.body if isinstance(error.body, dict) else {}
        text = body.get("message") or error.response.text
        pause = asked_pause(error.response.headers.get("retry-after"))
        code = f"{body.get('code') or ''} {body.get('type') or ''}"
        return self._refusals.of_status(error.status_code, text, code, pause)

    def _read(self, body: Any) -> Answer:
        choice = _at(body, "choices", 0)
        if not isinstance(choice, dict):
            raise self._refusals.of_garbled("it holds no choice")
        if choice.get("finish_reason") == "content_filter" or _at(choice, "message", "refusal"):
            raise self._refusals.of_content(
                _at(choice, "message", "refusal") or "finish_reason: content_filter"
            )
        token = _at(choice, "logprobs", "content", 0)
        top = _at(token, "top_logprobs")
        version = body.get("model")
        told = [*top, token] if isinstance(top, list) and top else []
        pairs = ((_at(each, "token"), _at(each, "logprob")) for each in told)
        return Answer(top_tokens(pairs), version if isinstance(version, str) else "")


def _part(part: str | bytes) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    data = base64.b64encode(part).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def _at(value: Any, *path: str | int) -> Any:
    """Returns what lies at a path of JSON; None where nothing does."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
