"""A model behind a chat API as a scorer: every reading sends the video that is kept as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from topreward_ros.method.prompt import PromptForm, validate_instruction
from topreward_ros.models.contract import Backend, Capabilities, ModelError, Rewind
from topreward_ros.models.served.address import Address
from topreward_ros.models.served.apis.chat_turn import PROMPT, ChatTurn, png
from topreward_ros.models.served.apis.probe import probe
from topreward_ros.models.served.apis.refusals import Refusals
from topreward_ros.models.served.apis.top_tokens import Answer
from topreward_ros.models.served.options import ServedOptions
from topreward_ros.models.served.patience import LONGEST_ATTEMPT, Patience
from topreward_ros.models.server_health import ServerHealth
from topreward_ros.models.streaming.kept_session import KeptSession

FRAME_SIZE = (256, 256)
"""px; what these services charge least for, and the size of the local families too."""
SAMPLE_RATE = 2.0
"""Frames per second, as in the paper."""
LONGEST_WAIT = 30.0
"""s of one attempt at most. These services take seconds, and an answer that is given up is paid for
all the same; so an attempt has half the patience where that is more than `LONGEST_ATTEMPT`."""


class ChatService(Protocol):
    """One model of one service, asked by the service's own client."""

    backend: str
    """Engine and model, for a calibration to hold under."""

    def ask(self, turn: ChatTurn, limit: float) -> Answer:
        """Asks once, for one token and the most probable ones in its place.

        Args:
            turn: what is shown and asked.
            limit: s that it may take.

        Raises:
            ServerAway: there is no answer now.
            ModelError: there will be none.
        """


class ApiScorer:
    """See `VideoScorer`; any number of sessions run at a time, as nothing of them lies elsewhere.

    A picture is a unit by itself: pairs of frames are of Qwen3-VL's vision tower, not of the
    method, which shows every frame at its own time. `max_pairs` therefore counts pictures.

    The scores are not `exact`: what the service does with sizes, batches and number formats is not
    known here.
    """

    success_threshold = None
    sample_rate = SAMPLE_RATE
    motion_threshold = None
    prompt_form = PromptForm.CHAT
    capabilities = Capabilities(frames_per_unit=1, kv_append=False, rewind=Rewind.CROP)

    def __init__(
        self, address: Address, options: ServedOptions, service: ChatService, refusals: Refusals
    ) -> None:
        """Asks the service about a short clip of its own.

        Raises:
            ModelError: it cannot score; the message says why and what to do.
        """
        self.name = address.name
        self.frame_size = options.frame_size or FRAME_SIZE
        self.max_pairs = options.max_pairs
        self.health = ServerHealth(address.shown)
        self.backend = Backend(service.backend, exact=False, flat=False, resend=True, censored=True)
        self._service = service
        self._refusals = refusals
        longest = min(max(LONGEST_ATTEMPT, options.patience / 2), LONGEST_WAIT)
        self._patience = Patience(self.health, options.patience, longest)
        self._version = ""
        self._version = probe(self._ask, self.frame_size, refusals)
        told = (service.backend, self._version, PROMPT.after_video("{}"), *self.frame_size)
        self.fingerprint = hashlib.sha256("\n".join(map(str, told)).encode()).hexdigest()[:16]

    def start(self) -> ApiSession:
        """See `VideoScorer`; the sessions that run go on."""
        return ApiSession(self)

    def log_prob(self, turn: ChatTurn) -> float:
        """Returns log p(answer) after a turn; NaN where it is not among those that are told."""
        answer = self._ask(turn, needs=True)
        if self._version and answer.version != self._version:
            raise self._refusals.other_version(self._version, answer.version)
        return answer.log_prob(PROMPT.answer)

    def _ask(self, turn: ChatTurn, *, needs: bool = False) -> Answer:
        """Asks as long as there is patience; `needs` says that there are log-probs otherwise."""

        def ask(limit: float) -> Answer:
            answer = self._service.ask(turn, limit)
            if needs and not answer.top:
                raise self._refusals.of_garbled("this time it tells no log-probs")
            try:
                answer.log_prob(PROMPT.answer)
            except ValueError as error:
                raise self._refusals.of_garbled(error) from None
            return answer

        return self._patience.insist(ask)


class ApiSession(KeptSession):
    """See `VideoSession`."""

    def __init__(self, scorer: ApiScorer) -> None:
        """Starts an episode without a frame."""
        super().__init__(scorer.frame_size, 1, scorer.max_pairs)
        self._scorer = scorer
        self._files: dict[int, bytes] = {}

    def log_probs(self, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Returns one log-probability per instruction, each of a question of its own."""
        units = self.video.units()
        self._files = {
            unit.number: self._files.get(unit.number) or png(unit.frames[0]) for unit in units
        }
        stamps = tuple(unit.stamps[0] for unit in units)
        questions = [PROMPT.after_video(validate_instruction(text)) for text in instructions]
        turns = [ChatTurn(tuple(self._files.values()), stamps, each) for each in questions]
        return np.array([self._scorer.log_prob(turn) for turn in turns])


def check_form(address: Address, options: ServedOptions) -> None:
    """Refuses another form of the prompt than the service's own turns.

    Raises:
        ModelError: one is asked for; or the address names no model.
    """
    if not address.model:
        raise ModelError(
            f"The model {address.name} names no model of that server; write it behind a #, as in "
            f"{address.name}#<model>."
        )
    if options.prompt not in (None, "", PromptForm.CHAT.value):
        raise ModelError(
            f"prompt_form is {options.prompt!r}, and the model {address.name} is asked by a chat "
            "API, which ends the user's turn by itself; set it to chat."
        )
