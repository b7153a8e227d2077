"""What a value of a parameter of `reward_node` has to be, where a range or a choice cannot say it.

Each returns what is expected, as it ends the sentence of a refusal; None for a value that is right.
"""

from __future__ import annotations

import math
import re

from rclpy.exceptions import InvalidTopicNameException
from rclpy.validate_topic_name import validate_topic_name

from topreward_ros.method.prompt import InstructionError, validate_instruction
from topreward_ros.method.statements import FORM, StatementError, parse_statements
from topreward_ros.models.checkpoints.settings import LARGEST_SIDE
from topreward_ros.models.contract import ModelError
from topreward_ros.models.served.address import parse_address


def model(value: str) -> str | None:
    """Checks what names a model or where it is served."""
    try:
        parse_address(value)
    except ModelError as error:
        return f"the address of a server that can be asked. {error}"
    known = (
        "a hub id, a checkpoint directory, demo, random:<directory with a config.json>, or the "
        "address of a server, <engine>+http://<host>:<port>"
    )
    return None if value and value == value.strip() else known


def device(value: str) -> str | None:
    """Checks a device."""
    known = re.fullmatch(r"auto|cpu|cuda(:\d+)?", value)
    return None if known else "auto, cpu, cuda or cuda:<number>"


def frame_size(value: tuple[int, ...]) -> str | None:
    """Checks the sides of a frame, px."""
    if value == (0, 0) or all(16 <= side <= LARGEST_SIDE for side in value):
        return None
    return f"two sides of 16 to {LARGEST_SIDE} px, [height, width], or [0, 0] for the model's own"


def even(value: int) -> str | None:
    """Checks a number of frames of which two are a pair."""
    return "an even number" if value % 2 else None


def threshold(value: float) -> str | None:
    """Checks a threshold, nat."""
    if math.isnan(value) or -math.inf < value <= 0.0:
        return None
    return "a log-probability of at most 0 (nat), or .nan for the calibration's or model's own"


def instruction(value: str) -> str | None:
    """Checks a task in words."""
    try:
        if value:
            validate_instruction(value)
    except InstructionError as error:
        return f"one sentence of plain text. {error}"
    return None


def statements(value: tuple[str, ...]) -> str | None:
    """Checks what is asked about beside the task."""
    try:
        parse_statements(value)
    except StatementError as error:
        return f'statements of the form "{FORM}", or [""] for none. {error}'
    return None


def cameras(value: tuple[str, ...]) -> str | None:
    """Checks image topics."""
    if not 1 <= len(value) <= 16 or len(set(value)) != len(value):
        return "1 to 16 image topics, each once"
    for topic in value:
        try:
            validate_topic_name(topic)
        except (InvalidTopicNameException, ValueError):
            return f"names of image topics, and {topic!r} cannot be one"
    return None
