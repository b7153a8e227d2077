"""Gemini models, by Google's own client."""

from __future__ import annotations

from typing import Any

import httpx2
from google import genai
from google.genai import errors, types

from topreward_ros.models.contract import ModelError
from topreward_ros.models.served.address import Address
from topreward_ros.models.served.apis.api_scorer import ApiScorer, check_form
from topreward_ros.models.served.apis.chat_turn import ChatTurn
from topreward_ros.models.served.apis.keys import Key, find_key
from topreward_ros.models.served.apis.refusals import Refusals, asked_pause
from topreward_ros.models.served.apis.top_tokens import TOP, Answer, top_tokens
from topreward_ros.models.served.bounded_http import AnswerRefused, bounded_client
from topreward_ros.models.served.options import ServedOptions

OFFICIAL = "https://generativelanguage.googleapis.com/"
VERTEX = "https://aiplatform.googleapis.com/"
"""Written here, so that no variable of the environment takes `gemini:<model>` elsewhere."""
REFUSED = (
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "MODEL_ARMOR",
)
"""Reasons of an end that are about the content."""


def open_gemini(address: Address, options: ServedOptions) -> ApiScorer:
    """Opens a model by `gemini:<model>` or `gemini+http://<host>:<port>#<model>`.

    Raises:
        ModelError: it cannot be used; the message says why and what to do.
    """
    check_form(address, options)
    key = find_key(address)
    refusals = Refusals(address, key)
    return ApiScorer(address, options, GeminiService(address, key, refusals), refusals)


class GeminiService:
    """See `ChatService`."""

    def __init__(self, address: Address, key: Key, refusals: Refusals) -> None:
        """Sends nothing yet.

        GOOGLE_GENAI_USE_VERTEXAI leads `gemini:<model>` to Vertex AI, as Google's client has it:
        there more models tell log-probs. It takes the key alone, and no account of the machine.
        """
        self._model = address.model
        self._refusals = refusals
        self._thinks = False
        self._client = _client(address, key)
        vertex = "vertexai " if self._client.vertexai else ""
        self.backend = f"gemini {vertex}{address.model}"

    def ask(self, turn: ChatTurn, limit: float) -> Answer:
        """See `ChatService.ask`."""
        try:
            return self._ask(turn, limit)
        except errors.APIError as error:
            # Some models cannot be told not to think; what they write first may be scored still.
            if error.code == 400 and not self._thinks and "think" in str(error.message).lower():
                self._thinks = True
                return self.ask(turn, limit)
            raise self._of_status(error) from None
        except (httpx2.HTTPError, AnswerRefused) as error:
            raise self._refusals.of_network(error) from None
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise self._refusals.of_garbled(error) from None

    def _ask(self, turn: ChatTurn, limit: float) -> Answer:
        config = types.GenerateContentConfig(
            response_logprobs=True,
            logprobs=TOP,
            max_output_tokens=1,
            temperature=0,
            thinking_config=None if self._thinks else types.ThinkingConfig(thinking_budget=0),
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            http_options=types.HttpOptions(timeout=max(1, round(limit * 1000))),
        )
        parts = list(map(_part, turn.parts()))
        contents = types.Content(role="user", parts=parts)
        told = self._client.models.generate_content(
            model=self._model, contents=contents, config=config
        )
        return self._read(told)

    def _read(self, told: types.GenerateContentResponse) -> Answer:
        feedback = told.prompt_feedback
        if feedback and feedback.block_reason:
            raise self._refusals.of_content(feedback.block_reason_message or feedback.block_reason)
        if not told.candidates:
            raise self._refusals.of_garbled("it holds no candidate")
        first = told.candidates[0]
        reason = getattr(first.finish_reason, "value", "")
        if reason in REFUSED:
            raise self._refusals.of_content(first.finish_message or reason)
        result, tokens = first.logprobs_result, []
        if result and result.top_candidates and result.top_candidates[0].candidates:
            tokens = [*result.top_candidates[0].candidates, *(result.chosen_candidates or [])[:1]]
        pairs = ((each.token, each.log_probability) for each in tokens)
        return Answer(top_tokens(pairs), told.model_version or "")

    def _of_status(self, error: errors.APIError) -> Exception:
        headers = getattr(error.response, "headers", None) or {}
        pause = asked_pause(headers.get("retry-after")) or _retry_delay(error.details)
        text = error.message or error.details
        return self._refusals.of_status(error.code, text, f"{error.status} {error.details}", pause)


def _client(address: Address, key: Key) -> genai.Client:
    def options(url: str | None) -> types.HttpOptions:
        return types.HttpOptions(base_url=url, httpx_client=bounded_client(address.url))

    secret = key.secret or "none"
    try:
        if address.url:
            return genai.Client(vertexai=False, api_key=secret, http_options=options(address.url))
        vertex = bool(genai.Client(api_key=secret, http_options=options(None)).vertexai)
        url = VERTEX if vertex else OFFICIAL
        return genai.Client(vertexai=vertex, api_key=secret, http_options=options(url))
    except ValueError as error:
        raise ModelError(
            f"The model {address.name} cannot be used: {key.hidden_in(error)}; see the variables "
            "of the environment that begin with GOOGLE_."
        ) from None


def _part(part: str | bytes) -> types.Part:
    if isinstance(part, str):
        return types.Part(text=part)
    return types.Part.from_bytes(data=part, mime_type="image/png")


def _retry_delay(details: Any) -> float:
    """Returns the s of `RetryInfo` among an error's details; 0.0 where there is none."""
    error = details.get("error", details) if isinstance(details, dict) else {}
    told = error.get("details") if isinstance(error, dict) else None
    for each in told if isinstance(told, list) else []:
        if isinstance(each, dict) and str(each.get("@type", "")).endswith("RetryInfo"):
            return asked_pause(each.get("retryDelay"))
    return 0.0
