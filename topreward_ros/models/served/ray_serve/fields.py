"""The fields of a JSON object that came over the network: each is what was expected, or refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from topreward_ros.printable import printable, printable_value

T = TypeVar("T")


class WireError(ValueError):
    """Something that does not keep to the wire format; one sentence."""


class Fields:
    """Of one object. What it does not ask for is left alone."""

    def __init__(self, values: dict[str, Any], what: str) -> None:
        """Knows the object.

        Args:
            values: of it.
            what: it is, as the sentences name it.
        """
        self._values, self._what = values, what

    @classmethod
    def read(cls, text: bytes, what: str) -> Fields:
        """Reads the object.

        Raises:
            WireError: the text is none.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WireError(f"{what} is no valid JSON ({printable(error, 80)}).") from None
        if not isinstance(values, dict):
            raise WireError(f"{what} is no JSON object; expected its fields.")
        return cls(values, what)

    def whole(self, name: str, low: int, high: int) -> int:
        """Returns a whole number within bounds."""
        return self._found(name, f"{low} to {high}", _is_whole(low, high))

    def number(self, name: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Returns a finite number within bounds."""
        return float(self._found(name, f"a number of {low:g} to {high:g}", _is_number(low, high)))

    def maybe_number(self, name: str) -> float | None:
        """Returns a finite number, or None."""
        return None if self._values.get(name) is None else self.number(name)

    def flag(self, name: str) -> bool:
        """Returns a truth."""
        return self._found(name, "true or false", lambda value: isinstance(value, bool))

    def text(self, name: str, longest: int) -> str:
        """Returns a text."""
        return self._found(name, f"at most {longest} characters", _is_text(longest))

    def hexadecimal(self, name: str, digits: int) -> str:
        """Returns a number in hexadecimal digits."""
        form = re.compile(f"[0-9a-f]{{{digits}}}", re.ASCII)
        return self._found(
            name, f"{digits} hexadecimal digits",
            lambda value: isinstance(value, str) and form.fullmatch(value) is not None,
        )  # fmt: skip

    def choice(self, name: str, kind: Callable[[str], T]) -> T:
        """Returns a member of an enumeration."""
        text = self.text(name, 40)
        try:
            return kind(text)
        except ValueError:
            self._refuse(name, text, "one that this version knows")

    def numbers(self, name: str, most: int) -> tuple[float | None, ...]:
        """Returns finite numbers, or None in their place."""
        number = _is_number(-math.inf, math.inf)
        return self._list(name, most, "numbers", lambda value: value is None or number(value))

    def wholes(self, name: str, most: int, high: int) -> tuple[int, ...]:
        """Returns whole numbers from 0 on."""
        return self._list(name, most, f"whole numbers up to {high}", _is_whole(0, high))

    def texts(self, name: str, most: int, longest: int) -> tuple[str, ...]:
        """Returns texts."""
        return self._list(name, most, f"texts of at most {longest} characters", _is_text(longest))

    def has(self, name: str) -> bool:
        """Whether there is a value."""
        return self._values.get(name) is not None

    def _list(
        self, name: str, most: int, words: str, fits: Callable[[Any], bool]
    ) -> tuple[Any, ...]:
        def all_fit(value: Any) -> bool:
            return isinstance(value, list) and len(value) <= most and all(map(fits, value))

        return tuple(self._found(name, f"a list of at most {most} {words}", all_fit))

    def _found(self, name: str, expected: str, fits: Callable[[Any], bool]) -> Any:
        value = self._values.get(name)
        if not fits(value):
            self._refuse(name, value, expected)
        return value

    def _refuse(self, name: str, value: Any, expected: str) -> NoReturn:
        raise WireError(f"{self._what}: {name} is {printable_value(value)}; expected {expected}.")


def _is_whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _is_number(low: float, high: float) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        if type(value) is int:
            return abs(value) < 2**53 and low <= value <= high
        return type(value) is float and math.isfinite(value) and low <= value <= high

    return fits


def _is_text(longest: int) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        if not isinstance(value, str) or len(value) > longest:
            return False
        # Half of a surrogate pair is valid JSON, and no text that can be tokenized.
        return not any("\ud800" <= letter <= "\udfff" for letter in value)

    return fits
