"""How rosetta reads `topreward_msgs/RewardStamped`: the entry point `rosetta.codecs` names this.

rosetta imports the module when it loads a contract, and the import registers the decoder. Without
rosetta nothing is registered, so that every module of the package can be imported anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

READING = "topreward_msgs/msg/RewardStamped"
DEFAULT = ("reward",)
"""What a reading is without `select`."""
STAMP = "stamp"
"""Name of the time of a reading's picture, `header.stamp` in s, to 0.24 µs."""


class Stream(Protocol):
    """What is used of rosetta's stream specifications.

    Attributes:
        names: the contract's `select`; empty where it has none.
    """

    names: Sequence[str]


def decode_reading(message: Any, stream: Stream) -> NDArray[np.float64]:
    """Returns the selected fields of a reading, shape (number of fields,).

    Args:
        message: the reading.
        stream: of the contract; it may select `STAMP` too. Flags are 0 or 1, what a reading does
            not know is NaN.

    Raises:
        ValueError: a name is none of a field that is a number. rosetta drops the message then.
    """
    return np.array([_number(message, name) for name in stream.names or DEFAULT], np.float64)


def _number(message: Any, name: str) -> float:
    if name == STAMP:
        return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
    value = getattr(message, name, None)
    if isinstance(value, (bool, int, float)):
        return float(value)
    kinds = message.get_fields_and_field_types()
    numbers = [field for field in kinds if isinstance(getattr(message, field), (int, float))]
    known = ", ".join([STAMP, *numbers])
    raise ValueError(f"select: {name!r} is no number of a reading; expected one of {known}.")


def _register() -> None:
    try:
        from rosetta.frames.codecs import register_decoder
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] != "rosetta":
            raise
        return
    register_decoder(READING, dtype="float64")(decode_reading)


_register()
