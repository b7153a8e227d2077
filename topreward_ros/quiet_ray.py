"""Ray on this machine: silent, on loopback, behind a token, and with nothing left behind.

Nothing of Ray is imported before. It tells nobody that it is used, and has no dashboard.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

STORE_BYTES = 100_000_000
"""Of shared memory on this machine."""
SILENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_enable_metrics_collection": "0",
}
"""Set before Ray is imported."""
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""What keeps Ray to 127.0.0.1, as on a desktop; an address of loopback it replaces by another."""


class RayTrouble(RuntimeError):
    """Ray cannot be started or reached; one sentence."""


@contextmanager
def ray_at(address: str, *, loopback: bool) -> Iterator[Any]:
    """Joins Ray where it runs, and leaves it.

    Args:
        address: of a cluster, or auto.
        loopback: whether it is on this machine's loopback; else Ray looks for it at another of
            this machine's addresses.

    Yields:
        The module `ray`.

    Raises:
        RayTrouble: it cannot be reached.
    """
    os.environ.update(SILENT | (ON_LOOPBACK if loopback else {}))
    with _running(f"be reached at {address}", address=address) as ray:
        yield ray


@contextmanager
def ray_here(
    cpus: int, say: Callable[[str], None], store_bytes: int = STORE_BYTES
) -> Iterator[Any]:
    """Starts Ray on this machine, and ends it.

    Args:
        cpus: that its processes may ask for.
        say: told where its files are.
        store_bytes: of shared memory, through which large values pass.

    Yields:
        The module `ray`.

    Raises:
        RayTrouble: it cannot be started.
    """
    # Whoever may connect to Ray runs what he likes; others on this machine may not.
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.update(SILENT | ON_LOOPBACK | token)
    # Short: the names of its sockets lie below it, and may have 107 bytes.
    folder = tempfile.mkdtemp(prefix="topreward-ray-")
    try:
        say(f"Ray's files are in {folder} until the end.")
        given = {
            "address": "local",
            "num_cpus": cpus,
            "object_store_memory": store_bytes,
            "include_dashboard": False,
            "_temp_dir": folder,
        }
        with _running("start on this machine", **given) as ray:
            yield ray
    finally:  # also after a second Ctrl-C
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(what: str, **given: Any) -> Iterator[Any]:
    import ray

    ends = signal.getsignal(signal.SIGTERM)
    # stdout is where Ray prints what it thinks of a worker's end, whatever it is told.
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        try:
            try:
                ray.init(**given, log_to_driver=False, logging_level=logging.CRITICAL)
            except (OSError, RuntimeError, ValueError, ImportError) as error:
                raise RayTrouble(f"Ray cannot {what}: {error}") from error
            if callable(ends):  # Ray's own would end the process with a trace
                signal.signal(signal.SIGTERM, ends)
            yield ray
        finally:
            ray.shutdown()
