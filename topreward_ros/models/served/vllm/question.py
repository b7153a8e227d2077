"""One question to a vLLM server, and the answer as far as it is believed."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from topreward_ros.models.contract import ModelError
from topreward_ros.models.served.connection import Answer, Connection
from topreward_ros.models.served.patience import ServerAway
from topreward_ros.models.served.vllm.expected_prompt import LOADER, TEMPLATE
from topreward_ros.models.served.vllm.pair_item import PairItem

PATH = "/v1/chat/completions"
UNKNOWN = -9999.0
"""nat; stands for whatever is lower, and for NaN."""
MISSED = "Cache miss"
"""What the server says of a name without pixels that it does not have (any more)."""


FLAGS = {
    "video stream": LOADER,
    "raw frames": LOADER,
    "video(s) may be provided": "--limit-mm-per-prompt, with more videos than max_pairs",
    "logprobs": "--max-logprobs 20",
    "context length": "--max-model-len, with room for max_pairs",
    "chat template": TEMPLATE,
    "": "config/serve/vllm/serve",
}
"""By what a refusal says, what mends it."""


class PairsMissing(Exception):
    """The server does not have all pairs that were only named."""


class Told(NamedTuple):
    """What a server told.

    Attributes:
        log_prob: nat, of the answer; NaN where the server has no number.
        tokens: of the prompt.
        ids: of the prompt; None where they were not asked for.
        cached: tokens of the prompt that were computed before; None: the server does not say.
        server: version and settings of the server, as it names them.
        others: log-probs of the most probable tokens, nat, as far as they were asked for.
    """

    log_prob: float
    tokens: int
    ids: list[int] | None
    cached: int | None
    server: str
    others: list[float]


class Questions:
    """Asks a server about one model.

    Attributes:
        open_key: whether a key goes to another machine unencrypted.
    """

    def __init__(self, connection: Connection, model: str, answer_id: int) -> None:
        """Asks nothing yet.

        Args:
            connection: to the server.
            model: its name there.
            answer_id: the token whose log-probability is asked for.
        """
        self._connection = connection
        self.open_key = connection.open_key
        self._model = model
        self._answer_id = answer_id

    def ask(
        self,
        items: Sequence[PairItem],
        known: set[str],
        text: str,
        limit: float,
        *,
        ids: bool = False,
        others: int = 0,
    ) -> Told:
        """Asks once.

        Args:
            items: the video.
            known: names of the items that the server has.
            text: what follows the video, up to the answer.
            limit: s.
            ids: whether the prompt's token ids are to be told.
            others: how many of the most probable tokens are to be told of.

        Raises:
            ModelError: the server refuses.
            PairsMissing: items were only named that the server does not have.
            ServerAway: no answer.
        """
        number = uuid.uuid4().hex
        content = [item.part(known=item.name in known) for item in items]
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": [*content, {"type": "text", "text": text}]}],
            "max_tokens": 1,
            "temperature": 0,
            # The raw logits' log-probability, whatever else is probable: of the sampled token.
            "allowed_token_ids": [self._answer_id],
            "logprobs": True,
            "top_logprobs": others,
            "add_generation_prompt": False,
            "add_special_tokens": False,
            "return_token_ids": ids,
        }
        answer = self._connection.ask(PATH, limit, body, {"x-request-id": number})
        if answer.status >= 300:
            self._refused(answer)
        return self._told(answer.body, number, ids)

    def _refused(self, answer: Answer) -> None:
        if MISSED.lower() in answer.reason.lower():
            raise PairsMissing
        if answer.status >= 500:
            raise ServerAway(f"failed (HTTP {answer.status}: {answer.reason})")
        said = answer.reason.lower()
        mended = next((flag for words, flag in FLAGS.items() if words in said), FLAGS[""])
        raise ModelError(
            f"The vLLM server refuses the question (HTTP {answer.status}: {answer.reason}); start "
            f"it with {mended}."
        )

    def _told(self, body: dict[str, Any], number: str, with_ids: bool) -> Told:
        try:
            if body["id"] != f"chatcmpl-{number}":
                raise ModelError(
                    "The server answers another question than the one that was asked; something "
                    "between it and this machine mixes answers up."
                )
            usage, choice = body["usage"], body["choices"][0]
            chosen = choice["logprobs"]["content"][0]
            details = usage.get("prompt_tokens_details") or {}
            return Told(
                _number(chosen["logprob"]),
                int(usage["prompt_tokens"]),
                [int(token) for token in body["prompt_token_ids"]] if with_ids else None,
                details.get("cached_tokens"),
                str(body.get("system_fingerprint") or "vllm"),
                [_number(one["logprob"]) for one in chosen["top_logprobs"]],
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ModelError(
                f"The server's answer lacks a field ({error!r}); this needs vLLM 0.30 or newer, "
                "with log-probs and token ids (see docs/fleet.md)."
            ) from None


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no log-probability")
    return math.nan if not value > UNKNOWN else float(value)
