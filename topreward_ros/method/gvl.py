"""Generative Value Learning, the baseline: the question word for word, and the frames' order.

The model sees frames in an order drawn by lot, is told that the first frame of the episode is 0 %
of the task, and writes how much of it is done in each (arXiv 2411.04549, appendix A, without
examples in context). TOPReward compares itself with it on 15 frames, at temperature 0.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

INTRODUCTION = (
    "You are an expert roboticist tasked to predict task completion percentages for frames of a "
    "robot for the task of {instruction}. The task completion percentages are between 0 and 100, "
    "where 100 corresponds to full task completion. We provide several examples of the robot "
    "performing the task at various stages and their corresponding task completion percentages. "
    "Note that these frames are in random order, so please pay attention to the individual frames "
    "when reasoning about task completion percentage.\n"
    "Initial robot scene: "
)
REQUEST = (
    "\nIn the initial robot scene, the task completion percentage is 0.\n"
    "Now, for the task of {instruction}, output the task completion percentage for the following "
    "frames that are presented in random order. For each frame, format your response as follow: "
    "Frame {{i}}: Frame Description: {{}}, Task Completion Percentages:{{}}%"
)
LABEL = "\nFrame {number}: "


def question_texts(instruction: str, count: int) -> list[str]:
    """Returns the texts before each picture.

    Args:
        instruction: the task, as `validate_instruction` returns it.
        count: frames that are asked about, at least 1.

    Returns:
        count + 1 texts; the first picture is the episode's first frame, given as 0 %.
    """
    labels = [LABEL.format(number=number) for number in range(1, count + 1)]
    request = REQUEST.format(instruction=instruction)
    return [INTRODUCTION.format(instruction=instruction), request + labels[0], *labels[1:]]


def shown_order(name: str, count: int, seed: int) -> NDArray[np.int64]:
    """Draws the order in which frames are shown.

    Every episode has its own order, whichever others are evaluated with it: with one for all, a
    model that prefers some positions would look the same in each.

    Args:
        name: of the episode in its source.
        count: frames.
        seed: of the evaluation.

    Returns:
        (count,) the place in time of each frame that is shown.
    """
    own = zlib.crc32(name.encode("utf-8", "surrogatepass"))
    return np.random.default_rng([seed, own]).permutation(count)


def in_time(shown: Sequence[float], order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the values of frames in time order, given those in the order of `shown_order`."""
    values = np.empty(len(order))
    values[order] = shown
    return values
