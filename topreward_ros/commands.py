"""The commands that a Ctrl-C ends with 130, from their first moment to their last.

Python alone does not keep to that. Before `main` runs, an interrupt ends it with a trace; and after
one that came inside of exec(), by which dataclasses and others make functions, `python -m` ends
itself by SIGINT, although the interrupt was caught.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

INTERRUPTED = 130
MODULES = {
    "calibrate": "offline.calibrate",
    "label": "offline.label",
    "evaluate": "offline.evaluation.command",
    "demo": "nodes.running.demo",
    "serve": "serving.command",
}
"""Where the `main` of each command is."""


def run(command: str) -> int:
    """Runs a command.

    Args:
        command: one of `MODULES`.

    Returns:
        The exit code. After an interrupt it does not return.
    """
    # In the background a shell without job control lets its jobs ignore Ctrl-C: it stays so.
    listens = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    if listens:
        signal.signal(signal.SIGINT, lambda *_: leave())  # nothing is begun yet
    from topreward_ros.printable import keep_errors_printable  # not before the handler

    keep_errors_printable()
    main = import_module(f"topreward_ros.{MODULES[command]}").main
    if listens:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return finish(main)


def finish(main: Callable[[], int]) -> int:
    """Runs a function that answers KeyboardInterrupt with `INTERRUPTED`; then ends the process.

    Args:
        main: returns the exit code.

    Returns:
        That code, where it is another.
    """
    try:
        code = main()
    except KeyboardInterrupt:  # once more, while it answered the first
        code = INTERRUPTED
    if code == INTERRUPTED:
        leave()
    return code


def leave() -> NoReturn:
    """Ends the process with `INTERRUPTED` at once, without finalising Python."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, RuntimeError):  # nobody reads it; it was interrupted while writing
            stream.flush()
    os._exit(INTERRUPTED)


def calibrate() -> int:
    """Makes a calibration from labelled recordings; see `offline.calibrate`."""
    return run("calibrate")


def label() -> int:
    """Labels recorded episodes; see `offline.label`."""
    return run("label")


def evaluate() -> int:
    """Tells how well a model judges recorded episodes; see `offline.evaluation`."""
    return run("evaluate")


def serve() -> int:
    """Serves a model to many robots; see `serving`."""
    return run("serve")


def demo() -> int:
    """Plays a recorded episode through the nodes; see `nodes.running.demo`."""
    return run("demo")


if __name__ == "__main__":
    sys.exit(run(sys.argv.pop(1)))
