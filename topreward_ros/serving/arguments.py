"""The command line of `serve`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from topreward_ros.method.prompt import PromptForm
from topreward_ros.models.streaming.thinning import DEFAULT_LIMIT
from topreward_ros.printable import PrintableParser

DESCRIPTION = """\
Serves a model of this machine to many robots, by Ray Serve. A robot names it by its address,
model:=ray+http://<this machine>:8000, and gets the numbers of a model of its own.

Each replica loads the model, and holds the videos of as many robots as it has sessions; a robot
stays with its replica. Where there are more robots than sessions, the video that was asked about
longest ago is given up, and its robot sends it again: slower, and the same number.

TOPREWARD_API_KEY in the environment, here and at the robots, is the key that they have to show;
without one it listens on loopback only.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line; None: that of the process. Exits with status 2 where it is wrong."""
    parser = PrintableParser(
        "serve", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--replicas", type=_replicas, default=None, metavar="N",
        help="processes with a model of their own; auto: one a GPU, or 1 (default: auto)",
    )  # fmt: skip
    add(
        "--sessions", type=_from_one, default=4, metavar="N",
        help="videos that each replica holds at a time; memory is taken for all (default: 4)",
    )  # fmt: skip
    listens = parser.add_argument_group("where it listens")
    add = listens.add_argument
    add("--host", default="127.0.0.1", help="address of this machine (default: %(default)s)")
    add("--port", type=_port, default=8000, help="(default: %(default)s)")
    add("--tls-certificate", type=Path, metavar="FILE", help="PEM; then robots use ray+https://")
    add("--tls-key", type=Path, metavar="FILE", help="PEM, without a password")
    _add_model(parser)
    options = parser.parse_args(arguments)
    if (options.tls_certificate is None) != (options.tls_key is None):
        parser.error("--tls-certificate and --tls-key belong together; give both, or neither")
    return options


def model_asked(options: argparse.Namespace) -> dict[str, Any]:
    """Returns what `load_scorer` is given in each replica."""
    return {
        "model": options.model,
        "device": options.device,
        "dtype": options.dtype,
        "quantization": options.quantization,
        "prompt": options.prompt_form,
        "frame_size": tuple(options.frame_size) if options.frame_size else None,
        "max_pairs": options.max_pairs,
        "attention": options.attention,
        "sessions": options.sessions,
    }


def _add_model(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the model").add_argument
    add(
        "--model", default="Qwen/Qwen3-VL-8B-Instruct",
        help="demo, a hub id or a directory (default: %(default)s)",
    )  # fmt: skip
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    add("--quantization", default="none", help="none, int8 or nf4")
    add("--prompt-form", choices=[form.value for form in PromptForm])
    add("--frame-size", nargs=2, type=int, metavar=("HEIGHT", "WIDTH"))
    add(
        "--max-pairs", type=int, default=DEFAULT_LIMIT, metavar="N",
        help="pairs of frames kept at most, even; that of the robots (default: %(default)s)",
    )  # fmt: skip
    add("--attention", default="sdpa", help="sdpa or eager")


def _from_one(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 9999:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 to 9999")
    return int(text)


def _replicas(text: str) -> int | None:
    return None if text == "auto" else _from_one(text)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected 1 to 65535")
    return int(text)
