"""GVL on a recorded episode, by the same model that gives the log-probs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from topreward_ros.method.gvl import in_time, question_texts, shown_order
from topreward_ros.method.metrics import value_order_correlation
from topreward_ros.method.percentages import AnswerError, read_percentages
from topreward_ros.method.progress import DEFAULT_PREFIXES, prefix_lengths
from topreward_ros.method.prompt import validate_instruction

if TYPE_CHECKING:
    from topreward_ros.models.contract import TextWriter


@dataclass(frozen=True)
class GvlSettings:
    """How GVL asks.

    Attributes:
        seed: of the order in which frames are shown.
        tokens: of an answer at most; a description and a number a frame take about 60.
        frames: that are asked about: those with which the prefixes of VOC end.
    """

    seed: int = 20241107
    tokens: int = 2048
    frames: int = DEFAULT_PREFIXES

    def __post_init__(self) -> None:
        if self.seed < 0 or self.tokens < 1:
            raise ValueError(
                f"GVL has the seed {self.seed} and {self.tokens} tokens an answer; the seed must "
                "be 0 or more, the tokens 1 or more."
            )


@dataclass(frozen=True)
class GvlAnswer:
    """What a model wrote of one episode.

    Attributes:
        frames: (K,) indices of the frames that were asked about, in time order.
        order: (K,) the place in `frames` of each frame, in the order in which they were shown.
        text: the answer.
        percentages: (K,) 0..100, in time order; None where they cannot be told.
        reason: why they cannot be told; empty where they can.
    """

    frames: NDArray[np.int64]
    order: NDArray[np.int64]
    text: str
    percentages: NDArray[np.float64] | None
    reason: str = ""

    @property
    def voc(self) -> float:
        """Value-order correlation; NaN where the answer does not parse, or is constant."""
        if self.percentages is None:
            return float("nan")
        return value_order_correlation(self.percentages)

    def as_json(self) -> dict[str, Any]:
        """Returns everything as plain values."""
        told = None if self.percentages is None else self.percentages.tolist()
        return {
            "frames": self.frames.tolist(),
            "order": self.order.tolist(),
            "answer": self.text,
            "percentages": told,
            "unparsed": self.reason or None,
            "voc": self.voc,
        }


def ask_gvl(
    writer: TextWriter,
    name: str,
    instruction: str,
    frames: Sequence[NDArray[np.uint8]],
    settings: GvlSettings,
) -> GvlAnswer:
    """Asks a model for the percentages of an episode's frames, in an order drawn by lot.

    Args:
        writer: the model.
        name: of the episode, by which the order is drawn.
        instruction: its task.
        frames: N pictures of (height, width, 3) uint8 RGB, at least one.
        settings: how to ask.

    Raises:
        ValueError: the instruction cannot be asked about.
    """
    chosen = prefix_lengths(len(frames), settings.frames) - 1
    order = shown_order(name, len(chosen), settings.seed)
    texts = question_texts(validate_instruction(instruction), len(chosen))
    pictures = [frames[0], *(frames[chosen[place]] for place in order)]
    turn = [part for pair in zip(texts, pictures, strict=True) for part in pair]
    written = writer.write(turn, settings.tokens)
    try:
        shown = read_percentages(written.text, len(chosen))
    except AnswerError as error:
        cut = "" if written.finished else f"; it was cut off after {settings.tokens} tokens"
        return GvlAnswer(chosen, order, written.text, None, f"{error}{cut}")
    return GvlAnswer(chosen, order, written.text, in_time(shown, order))
