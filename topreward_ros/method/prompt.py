"""The question that is put to the model, word for word.

TOPReward reads one number: the log-probability of the answer token after the video and this text
(arXiv 2602.19313, section 3; forms as in the authors' code). The text before the video belongs to
the model's chat markup, so a family with other markup brings its own `ChatMarkup`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

QUESTION = (
    "The above video shows a robot manipulation trajectory that completes the following task: "
    "{instruction}{period} Decide whether the above statement is True or not. The answer is:"
)
MAX_INSTRUCTION_LENGTH = 1000
"""Bytes in UTF-8. A longer text is a mistake, and would cost every update more than the video does.
Tokenizers make at most one token of a byte, so that what passes here has room after a video."""


class InstructionError(ValueError):
    """An instruction that cannot be asked about."""


class PromptForm(str, Enum):
    """Named variants of the prompt."""

    RAW = "raw"
    """The user turn, cut before its end; scores `" True"`. The default."""
    RAW_PERIOD = "raw_period"
    """As `RAW`, with the full stop after the instruction that the paper prints."""
    CHAT = "chat"
    """A whole user turn and the assistant's header; scores `"True"`. For the ablation only."""


@dataclass(frozen=True)
class ChatMarkup:
    """The text with which a model family marks the turns of a conversation."""

    user: str = "<|im_start|>user\n"
    turn_end: str = "<|im_end|>\n"
    assistant: str = "<|im_start|>assistant\n"


@dataclass(frozen=True)
class Prompt:
    """The text around the video in one form and one family's markup."""

    form: PromptForm = PromptForm.RAW
    markup: ChatMarkup = ChatMarkup()

    @property
    def before_video(self) -> str:
        """Text that precedes the first frame."""
        return self.markup.user

    def after_video(self, instruction: str) -> str:
        """Text that follows the last frame, up to the answer.

        Args:
            instruction: the task, as `validate_instruction` returns it.
        """
        period = "." if self.form is PromptForm.RAW_PERIOD else ""
        question = QUESTION.format(instruction=instruction, period=period)
        if self.form is PromptForm.CHAT:
            return question + self.markup.turn_end + self.markup.assistant
        return question

    @property
    def answer(self) -> str:
        """The answer whose log-probability is the reward; it must be one token."""
        return "True" if self.form is PromptForm.CHAT else " True"


def validate_instruction(text: str) -> str:
    """Returns the instruction without surrounding white space.

    Raises:
        InstructionError: it is empty, too long, or holds characters that cannot be shown.
    """
    instruction = text.strip()
    if not instruction:
        raise InstructionError(
            "The instruction is empty; say the task in words, for example "
            '"put the red cube on the green disc".'
        )
    size = len(instruction.encode("utf-8", "surrogatepass"))
    if size > MAX_INSTRUCTION_LENGTH:
        raise InstructionError(
            f"The instruction has {len(instruction)} characters, {size} bytes in UTF-8, and at "
            f"most {MAX_INSTRUCTION_LENGTH} bytes are taken; say the task in one sentence."
        )
    if "<|" in instruction or not instruction.isprintable():
        raise InstructionError(
            "The instruction holds a line break, a control character or chat markup (<|…|>); "
            "say the task in one line of plain text."
        )
    return instruction
