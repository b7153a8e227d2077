"""Makes text of others printable: nothing from the graph or a file reaches a terminal raw.

A control character in a reading's text or in a file's name could set a window's title, forge a line
of a log or turn words around on the screen. Whatever shows text that this package did not write
itself, in a log, a terminal or a report, passes it through here.
"""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
import unicodedata
from types import TracebackType
from typing import NoReturn

LONGEST = 2000
"""Characters of one line that are shown; the rest is counted."""
CONTINUED = "    "
"""Begins each further line of a text, so that none passes for the first one of another."""


def printable(text: object, longest: int = LONGEST) -> str:
    r"""Returns a text in one line, with `\x1b` and the like in place of what is no letter or space.

    Controls (C0, DEL, C1), line and paragraph separators, marks that turn the direction of writing,
    and halves of surrogate pairs are written as Python writes them.

    Args:
        text: anything; what is no text is shown as `str` shows it.
        longest: characters that are shown of it.
    """
    text = str(text)
    if len(text) > longest:
        text = f"{text[:longest]}… ({len(text)} characters)"
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def printable_lines(text: object) -> str:
    """Returns a text of several lines, such as a trace, with each line as `printable` shows it."""
    return f"\n{CONTINUED}".join(map(printable, str(text).split("\n")))


def printable_value(value: object, longest: int = 80) -> str:
    """Returns a value as Python writes it, short."""
    try:
        return printable(repr(value), longest)
    except (ValueError, RecursionError):  # Python writes no number of more than 4300 digits
        return "too large a value"


class PrintableFormatter(logging.Formatter):
    """Formats records of Python's logging so."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as lines."""
        return printable_lines(super().format(record))


class PrintableParser(argparse.ArgumentParser):
    """A command line whose errors are; they repeat words, such as names of files."""

    def error(self, message: str) -> NoReturn:
        """Exits with status 2 and a sentence."""
        super().error(printable(message))


def keep_errors_printable() -> None:
    """Makes printable what a program writes to stderr by itself.

    That is what libraries warn of where nobody has set up any logging, and the trace of an error
    that ends the program.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PrintableFormatter())
    sys.excepthook = _show_trace


def _show_trace(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    lines = "".join(traceback.format_exception(kind, error, trace)).rstrip()
    print(printable_lines(lines), file=sys.stderr)


def _shown(letter: str) -> str:
    # Spaces of all widths count as not printable too, and do no harm.
    if letter.isprintable() or unicodedata.category(letter) == "Zs":
        return letter
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
