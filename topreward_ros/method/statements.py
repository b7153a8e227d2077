"""Statements that are asked about beside the task, on the same video: what people write of them.

One entry is `name | role | text`, or `name | role | threshold | text` with a threshold in nats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from topreward_ros.method.prompt import InstructionError, validate_instruction

MOST = 16
"""Statements of one episode; each costs the tokens of its question in every update."""
LONGEST_NAME = 40
"""Characters of a name."""
FORM = "name | role | text, or name | role | threshold | text"


class StatementError(ValueError):
    """Statements that cannot be asked about; one sentence."""


class Role(str, Enum):
    """What a statement is for."""

    TASK = "task"
    """Another way to say the task, or another task; told alone."""
    STAGE = "stage"
    """A part of the task; stages follow each other in the order given."""
    FAILURE = "failure"
    """What must not happen; by a calibrated threshold its hold ends the episode."""


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        name: unique in its episode.
        role: what it is for.
        text: what the model is asked about.
        threshold: nat, that its score is held against; None: a calibration's, if one knows it.
    """

    name: str
    role: Role
    text: str
    threshold: float | None = None

    @property
    def entry(self) -> str:
        """As it is written."""
        return written(self.name, self.role.value, self.text, self.threshold)


def written(name: str, role: str, text: str, threshold: float | None) -> str:
    """Returns the entry of a statement, whether it can be asked about or not.

    Args:
        name: without a bar, as the text.
        role: a `Role`'s value.
        text: what the model is asked about.
        threshold: nat; None: none of its own.
    """
    own = () if threshold is None else (f"{threshold!r}".removesuffix(".0"),)
    return " | ".join((name, role, *own, text))


def parse_statements(entries: Sequence[str]) -> tuple[Statement, ...]:
    """Reads statements, in their order; empty entries stand for none.

    Raises:
        StatementError: they cannot be asked about; the sentence names the first fault.
    """
    statements = tuple(_parse(entry) for entry in entries if entry.strip())
    if len(statements) > MOST:
        raise StatementError(f"{len(statements)} statements were given; at most {MOST} are taken.")
    names, texts = set(), {}
    for one in statements:
        if one.name in names:
            raise StatementError(f"Two statements have the name {one.name!r}; each needs its own.")
        if one.text in texts:
            raise StatementError(
                f"The statements {texts[one.text]!r} and {one.name!r} have the same text; each "
                "text is asked about once."
            )
        names.add(one.name)
        texts[one.text] = one.name
    return statements


def _parse(entry: str) -> Statement:
    parts = [part.strip() for part in entry.split("|")]
    if not 3 <= len(parts) <= 4:
        raise StatementError(f"The statement {_shown(entry)} has {len(parts)} part(s), not {FORM}.")
    name, role = parts[0], parts[1]
    if not (name and len(name) <= LONGEST_NAME and name.isprintable()):
        raise StatementError(
            f"The statement {_shown(entry)} needs a name of 1 to {LONGEST_NAME} printable "
            f"characters before the first bar: {FORM}."
        )
    if role not in [known.value for known in Role]:
        raise StatementError(
            f"The statement {name!r} has the role {_shown(role)}; roles are "
            f"{', '.join(known.value for known in Role)}."
        )
    try:
        text = validate_instruction(parts[-1])
    except InstructionError as error:
        raise StatementError(
            f"The text of the statement {name!r} cannot be asked: {error}"
        ) from None
    return Statement(name, Role(role), text, _threshold(name, parts[2]) if parts[3:] else None)


def _threshold(name: str, written: str) -> float:
    try:
        value = float(written)
    except ValueError:
        value = math.nan
    if not -math.inf < value <= 0.0:
        raise StatementError(
            f"The threshold of the statement {name!r} is {_shown(written)}; a log-probability of "
            "at most 0 (nat) is one, and leave it out where none is known."
        )
    return value


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
