"""The command `serve`: one model a GPU, for many robots."""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from topreward_ros.commands import INTERRUPTED
from topreward_ros.printable import printable_lines
from topreward_ros.quiet_ray import RayTrouble
from topreward_ros.serving.arguments import parse_arguments

NEEDED = ("ray", "starlette", "uvicorn", "torch", "httpx2")
"""Packages of the extras [serve] and [models]."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it is told to stop.

    Returns:
        0 after SIGTERM, 1 after a sentence on what was wrong, 130 after Ctrl-C.
    """
    options = parse_arguments(arguments)
    try:
        _serve(options)
    except (RayTrouble, ValueError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("stopped.")
        return INTERRUPTED
    except SystemExit:
        _say("stopped.")
    return 0


def _serve(options: argparse.Namespace) -> NoReturn:
    signal.signal(signal.SIGTERM, _stop)
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise ValueError(
            f"serve needs Ray Serve and the models' packages, of which {missing[0]} is not "
            "installed: pip install 'topreward_ros[serve,models]'."
        )
    from topreward_ros.serving.listening import check_listening
    from topreward_ros.serving.replicas import replicas_running

    check_listening(options)
    with replicas_running(options, _say):
        threading.Event().wait()
    raise AssertionError("nothing sets that event")


def _stop(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)


def _say(text: str) -> None:
    print(printable_lines(f"serve: {text}"), file=sys.stderr, flush=True)
