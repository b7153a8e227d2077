"""Whether a vLLM server gives what is asked for, tried on a fixed short clip at configure."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from topreward_ros.models.contract import ModelError
from topreward_ros.models.served.patience import Patience
from topreward_ros.models.served.vllm.expected_prompt import LOADER, TEMPLATE, ExpectedPrompt
from topreward_ros.models.served.vllm.pair_item import PairItem
from topreward_ros.models.served.vllm.question import PairsMissing, Questions, Told
from topreward_ros.models.video_unit import units_of

PAIRS = 12
"""Of the clip, at 2 Hz; of a robot that keeps fewer, as many as that."""
TASKS = ("put the red cube on the green disc", "open the drawer")
CLOSE = 0.1
"""nat; how far two answers to one question may lie apart: 16-bit numbers and batches move them by
some hundredths."""
OTHERS = 5


@dataclass(frozen=True)
class Verdict:
    """What came of it.

    Attributes:
        server: version and settings of the server, as it names them.
        scores: nat, of the clip under `TASKS`.
        flat: whether the server reuses what it has computed of a video.
        remark: what people should know; "" if nothing.
    """

    server: str
    scores: tuple[float, ...]
    flat: bool
    remark: str

    def require_same(self, later: Told) -> None:
        """Raises ModelError where a later answer to the first question shows another model."""
        if _apart(self.scores[0], later.log_prob):
            raise ModelError(
                "The server has another model than at configure: the test clip scores "
                f"{later.log_prob:.3f} nat, and scored {self.scores[0]:.3f}; configure the node "
                "anew if that is meant."
            )
        if later.server != self.server:
            raise ModelError(
                f"The server is {later.server}, and was {self.server} at configure; its numbers "
                "may be others, so configure the node anew."
            )


def self_test(clip: Clip) -> Verdict:
    """Tries a server.

    Args:
        clip: to ask about.

    Raises:
        ModelError: it does something else; the sentence names the flag that mends it.
    """
    prompt = clip.prompt
    first = clip.ask(clip.items, TASKS[0], known=False)
    _check_prompt(prompt, first, clip, TASKS[0])
    _check_number(first)
    again = clip.ask(clip.items, TASKS[0], known=True)
    if _apart(first.log_prob, again.log_prob):
        raise ModelError(
            f"The server answers one question with {first.log_prob:.3f} and {again.log_prob:.3f} "
            "nat; start it without whatever makes its answers random, or with another engine."
        )
    other = clip.ask(clip.items, TASKS[1], known=True)
    _check_prompt(prompt, other, clip, TASKS[1])
    changed = clip.ask(clip.inverted, TASKS[0], known=False)
    if changed.log_prob == first.log_prob:
        raise ModelError(
            "The server gives the same number for other pictures, so it does not look at them; "
            + TEMPLATE
            + f", {LOADER}."
        )
    flat, remark = _reuse(again, first.tokens)
    return Verdict(first.server, (first.log_prob, other.log_prob), flat, remark)


class Clip:
    """A fixed clip of noise over a slope, as a server is asked about it."""

    def __init__(
        self, prompt: ExpectedPrompt, questions: Questions, patience: Patience, max_pairs: int
    ) -> None:
        """Makes it.

        Args:
            prompt: that a server has to make; the clip has its frame size.
            questions: to the server.
            patience: to ask with.
            max_pairs: that the robot keeps.
        """
        count, robot = 2 * min(PAIRS, max_pairs), os.urandom(16)
        height, width = prompt.frame_size
        noise = np.random.default_rng(0).integers(0, 128, (count, height, width, 3), np.uint8)
        frames = noise + np.linspace(0, 127, width).astype(np.uint8)[:, None]
        stamps = [index / 2 for index in range(count)]
        self.items = [PairItem(unit, robot) for unit in units_of(frames, stamps, 2)]
        self.inverted = [PairItem(unit, robot) for unit in units_of(255 - frames, stamps, 2)]
        self.seconds = [item.seconds for item in self.items]
        self.prompt, self._questions, self._patience = prompt, questions, patience

    def ask(self, items: Sequence[PairItem], task: str, *, known: bool) -> Told:
        """Asks about the clip; `known`: the server has it already, or gets it again."""
        text = self.prompt.prompt.after_video(task)
        names = {item.name for item in items} if known else set()

        def once(limit: float) -> Told:
            try:
                return self._questions.ask(items, names, text, limit, ids=True, others=OTHERS)
            except PairsMissing:
                names.clear()
                return self._questions.ask(items, names, text, limit, ids=True, others=OTHERS)

        return self._patience.insist(once)


def _check_prompt(prompt: ExpectedPrompt, told: Told, clip: Clip, task: str) -> None:
    if fault := prompt.fault(told.ids, clip.seconds, task):
        raise ModelError(f"The server {fault}.")


def _check_number(told: Told) -> None:
    if math.isnan(told.log_prob):
        raise ModelError(
            "The server gives no number for the test clip (vLLM sends -9999 for NaN): its weights "
            "or number format overflow; start it with --dtype float32 or bfloat16."
        )
    if told.log_prob == 0.0:
        raise ModelError(
            "The server gives the answer the probability 1, as it does where it judges what is "
            "left after the choice is forced; start it with --logprobs-mode raw_logprobs."
        )
    if told.log_prob > 0.0 or sum(map(math.exp, told.others)) > 1.001:
        raise ModelError(
            "The server sends logits and not log-probabilities; start it with --logprobs-mode "
            "raw_logprobs."
        )


def _reuse(again: Told, tokens: int) -> tuple[bool, str]:
    if again.cached is None:
        return False, (
            "The server does not say what it reuses, so its updates may grow with the video; "
            "start it with --enable-prompt-tokens-details."
        )
    if again.cached < tokens // 3:
        return False, (
            f"The server computed {tokens - again.cached} of {tokens} tokens again which it knew, "
            "so its updates grow with the video; start it with --enable-prefix-caching and "
            "--block-size 32."
        )
    return True, ""


def _apart(one: float, other: float) -> bool:
    return not abs(one - other) <= CLOSE
