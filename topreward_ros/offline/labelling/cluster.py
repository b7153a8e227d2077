"""Ray, where it is asked for: started on this machine, or joined where it runs."""

from __future__ import annotations

import argparse
import importlib.util
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from topreward_ros.offline.episodes.recorded_episode import SourceError
from topreward_ros.quiet_ray import ray_at, ray_here

LOCAL = "local"
CONNECT_PATIENCE = 10.0
"""s."""


@dataclass(frozen=True)
class Workers:
    """How many workers there are, and what each one takes.

    Attributes:
        count: of workers.
        gpus: of each; a part of one where several share it.
    """

    count: int
    gpus: float


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Adds where the workers run, and how many there are."""
    cluster = parser.add_argument_group("many workers, by Ray")
    cluster.add_argument(
        "--ray", metavar="ADDRESS",
        help="local: workers on this machine; else the address of a Ray cluster, or auto",
    )  # fmt: skip
    cluster.add_argument(
        "--workers", type=int, metavar="N", help="models that are loaded (default: one a GPU, or 1)"
    )
    cluster.add_argument(
        "--gpus-per-worker", type=float, metavar="X",
        help="0.5: two share one (default: 1 where there are GPUs and --device is not cpu)",
    )  # fmt: skip


def check_cluster(options: argparse.Namespace) -> None:
    """Checks what can be known before anything is started.

    Raises:
        SourceError: Ray is not installed, or an option does not fit.
    """
    if options.ray is None:
        if options.workers is not None or options.gpus_per_worker is not None:
            raise SourceError(
                "--workers and --gpus-per-worker are for --ray; add --ray local for workers on "
                "this machine."
            )
        return
    if options.workers is not None and options.workers < 1:
        raise SourceError(f"--workers is {options.workers}; expected 1 or more.")
    if options.gpus_per_worker is not None and not 0 <= options.gpus_per_worker < 1e3:
        raise SourceError(f"--gpus-per-worker is {options.gpus_per_worker}; expected 0 or more.")
    if importlib.util.find_spec("ray") is None:
        raise SourceError(
            "--ray needs Ray, which is not installed: pip install 'topreward_ros[cluster]'."
        )


@contextmanager
def ray_running(options: argparse.Namespace, say: Callable[[str], None]) -> Iterator[Workers]:
    """Starts or joins Ray, and leaves nothing of it behind.

    Args:
        options: of the command line.
        say: told where its files are.

    Yields:
        The workers that there are to be.

    Raises:
        RayTrouble: it cannot be started or joined.
        SourceError: it cannot be reached, or has not what a worker takes.
    """
    _check_reached(options.ray)
    if options.ray == LOCAL:
        running = ray_here(max(options.workers or 1, os.cpu_count() or 1), say)
    else:
        running = ray_at(options.ray, loopback=_is_loopback(options.ray))
    with running as ray:
        yield _workers(ray, options)


def _is_loopback(address: str) -> bool:
    return address.rpartition(":")[0] in ("127.0.0.1", "localhost")


def _check_reached(address: str) -> None:
    """Raises a SourceError where nothing listens; Ray itself would wait, and log, for long."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():  # auto, or another form that Ray knows
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise SourceError(
            f"Ray cannot be reached at {address}: {error}. Expected what `ray start` printed."
        ) from error


def _workers(ray: Any, options: argparse.Namespace) -> Workers:
    there = ray.cluster_resources().get("GPU", 0.0)
    gpus = options.gpus_per_worker
    if gpus is None:
        gpus = 1.0 if there and options.device != "cpu" else 0.0
    if gpus > there:
        raise SourceError(
            f"A worker takes {gpus:g} GPUs, and Ray has {there:g}; give --gpus-per-worker less, "
            "0 for the CPU."
        )
    count = options.workers or (max(1, int(there // gpus)) if gpus else 1)
    if gpus and options.ray == LOCAL and count * gpus > there:
        raise SourceError(
            f"{count} workers of {gpus:g} GPUs are more than the {there:g} of this machine; give "
            "fewer --workers, or less --gpus-per-worker."
        )
    return Workers(count, gpus)
