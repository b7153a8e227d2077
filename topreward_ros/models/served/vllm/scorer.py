"""A Qwen3-VL model on a vLLM server.

Every pair of frames is an item of its own, named by its content. The server keeps the keys and
values of all pairs that it has seen in this order (its prefix cache), so that an update costs it
the new pair and the question; what it has lost, it asks for, and gets the whole video.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from topreward_ros.method.prompt import InstructionError, validate_instruction
from topreward_ros.models.checkpoints.sources import find_source
from topreward_ros.models.configuration_text import configuration_text
from topreward_ros.models.contract import Backend, Capabilities, ModelError, Rewind
from topreward_ros.models.served.connection import OPEN_KEY, Connection
from topreward_ros.models.served.patience import Patience
from topreward_ros.models.served.vllm.expected_prompt import ExpectedPrompt
from topreward_ros.models.served.vllm.pair_item import PairItem
from topreward_ros.models.served.vllm.question import PairsMissing, Questions, Told
from topreward_ros.models.served.vllm.self_test import TASKS, Clip, Verdict, self_test
from topreward_ros.models.server_health import ServerHealth
from topreward_ros.models.streaming.kept_session import KeptSession
from topreward_ros.models.streaming.thinning import Thinning

if TYPE_CHECKING:
    from topreward_ros.models.served.address import Address
    from topreward_ros.models.served.options import ServedOptions

STARTING = 120.0
"""s that a server may take for its first answer: it compiles what later ones need."""


class VllmScorer:
    """Implements `VideoScorer`; every session is one of its own, and none replaces another."""

    capabilities = Capabilities(frames_per_unit=2, kv_append=True, rewind=Rewind.CROP)

    def __init__(
        self,
        name: str,
        prompt: ExpectedPrompt,
        questions: Questions,
        health: ServerHealth,
        options: ServedOptions,
        verdict: Verdict,
    ) -> None:
        """Takes a server that was tried."""
        self.name = name
        self.prompt = prompt
        self.questions = questions
        self.health = health
        self.max_pairs = options.max_pairs
        self.patience = Patience(health, options.patience)
        self.robot = os.urandom(16)
        self.doubt = False
        self.frame_size = prompt.frame_size
        self.prompt_form = prompt.form
        self.sample_rate = prompt.settings.sample_rate
        self.motion_threshold = prompt.settings.motion_threshold
        self.success_threshold = prompt.settings.success_threshold if prompt.own else None
        self.verdict = verdict
        self.backend = Backend(
            verdict.server,
            exact=True,
            flat=verdict.flat,
            resend=True,
            remark=verdict.remark or (OPEN_KEY if questions.open_key else ""),
        )
        self.fingerprint = _fingerprint(prompt, verdict)

    def start(self) -> VllmSession:
        """Starts an episode."""
        return VllmSession(self)

    def check_again(self) -> None:
        """Makes sure of the model on a server that was away, or lost its cache, as a new one does.

        Raises:
            ModelError: it answers otherwise than at configure.
        """
        clip = Clip(self.prompt, self.questions, self.patience, self.max_pairs)
        self.verdict.require_same(clip.ask(clip.items, TASKS[0], known=False))
        self.doubt = False


class VllmSession(KeptSession):
    """One episode's video."""

    def __init__(self, scorer: VllmScorer) -> None:
        super().__init__(scorer.frame_size, 2, scorer.max_pairs)
        self._scorer = scorer
        self._items: dict[int, PairItem] = {}
        self._known: set[str] = set()
        self._checked: set[str] = set()
        self._episode = os.urandom(16)

    def log_probs(self, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Returns one log-probability per instruction, in nats, shape (n,)."""
        items = self._take_items()
        return np.array([self._ask(items, text) for text in instructions], np.float64)

    def _take_items(self) -> list[PairItem]:
        units, former = self.video.units(), self._items
        newest = units[-1].number
        self._items = {
            unit.number: former[unit.number]
            if unit.number in former and unit.number != newest
            else PairItem(unit, self._scorer.robot + self._episode)
            for unit in units
        }
        items = list(self._items.values())
        self._known &= {item.name for item in items}
        return items

    def _ask(self, items: list[PairItem], instruction: str) -> float:
        try:
            text = self._scorer.prompt.prompt.after_video(validate_instruction(instruction))
        except InstructionError as error:
            raise ValueError(str(error)) from None
        scorer = self._scorer
        told = scorer.patience.insist(lambda limit: self._once(items, instruction, text, limit))
        if scorer.doubt or told.server != scorer.verdict.server:
            scorer.check_again()
        return told.log_prob

    def _once(self, items: list[PairItem], instruction: str, text: str, limit: float) -> Told:
        if self._scorer.health.trouble:
            self._lose()
        ids = instruction not in self._checked
        ask = self._scorer.questions.ask
        try:
            told = ask(items, self._known, text, limit, ids=ids)
        except PairsMissing:
            self._lose()
            self._scorer.health.sent_again()
            told = ask(items, self._known, text, limit, ids=ids)
        self._believe(told, items, instruction)
        self._known.update(item.name for item in items)
        return told

    def _lose(self) -> None:
        self._known.clear()
        self._scorer.doubt = True

    def _believe(self, told: Told, items: list[PairItem], instruction: str) -> None:
        prompt, seconds = self._scorer.prompt, [item.seconds for item in items]
        expected, fault = prompt.length(seconds, instruction), ""
        if told.ids is not None:
            fault = prompt.fault(told.ids, seconds, instruction)
        elif told.tokens != expected:
            fault = f"makes {told.tokens} tokens of a prompt of {expected}"
        if fault:
            raise ModelError(f"The server {self._scorer.health.address} {fault}.")
        self._checked.add(instruction)


def open_vllm(address: Address, options: ServedOptions) -> VllmScorer:
    """Asks for a model behind a vLLM server; see `open_scorer`.

    Raises:
        ModelError: it cannot be had as asked.
    """
    try:
        Thinning(options.max_pairs)
    except ValueError as error:
        raise ModelError(str(error)) from None
    health = ServerHealth(address.shown)
    connection = Connection(address.url)
    patience = Patience(health, max(STARTING, options.patience), STARTING)
    served = patience.insist(lambda limit: connection.ask("/v1/models", limit))
    model, longest = _chosen(address, served.body if served.status < 300 else {})
    prompt = ExpectedPrompt(find_source(model, weights=False), options.prompt, options.frame_size)
    _check_length(prompt, longest, options.max_pairs)
    questions = Questions(connection, model, prompt.answer_id)
    verdict = self_test(Clip(prompt, questions, patience, options.max_pairs))
    return VllmScorer(address.name, prompt, questions, health, options, verdict)


def _chosen(address: Address, body: dict) -> tuple[str, int]:
    """Returns the model's name on the server, and its longest prompt in tokens."""
    models = body.get("data")
    if not isinstance(models, list) or not models:
        raise ModelError(
            f"The server {address.url} names no models, so it is no vLLM server; see what serves "
            "there, and whether the address has a path."
        )
    by_name = {str(one.get("id")): one for one in models if isinstance(one, dict)}
    name = address.model or next(iter(by_name))
    if name not in by_name:
        raise ModelError(
            f"The server {address.url} has no model {name!r}; it serves {', '.join(by_name)}."
        )
    longest = by_name[name].get("max_model_len")
    return name, longest if isinstance(longest, int) else 2**31


def _check_length(prompt: ExpectedPrompt, longest: int, max_pairs: int) -> None:
    rest = len(prompt.ids([], "a" * 100)) + 100
    needed = max_pairs * prompt.pair_tokens + rest
    if needed > longest:
        fitting = max(4, (longest - rest) // prompt.pair_tokens // 2 * 2)
        raise ModelError(
            f"max_pairs is {max_pairs}, a prompt of {needed} tokens, and the server takes "
            f"{longest}; start it with --max-model-len {needed}, or set max_pairs to {fitting}."
        )


def _fingerprint(prompt: ExpectedPrompt, verdict: Verdict) -> str:
    """Hashes what is seen of the model from here, and adds what its weights said of the clip."""
    text = configuration_text(prompt.config.to_dict())
    digest = hashlib.sha256(f"{text} {prompt.form.value} {prompt.frame_size}".encode())
    numbers = ",".join(f"{value:.3f}" for value in verdict.scores)
    return f"{digest.hexdigest()[:16]}@{numbers}"
