"""The engines that a fleet is measured on: started here, or left out with a word."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from topreward_ros.models.contract import VideoScorer
from topreward_ros.models.loading import open_scorer
from topreward_ros.models.served.vllm.scorer import VllmScorer, VllmSession

ROOT = Path(__file__).parents[1]
STARTING = 300.0
"""s that a server may take until it answers."""


@dataclass
class Engine:
    """What runs a model.

    Attributes:
        name: for people.
        flat: what 64 pairs may cost, 8 pairs being 1; 0.0: no matter.
        open: makes a robot's client.
        running: runs the server for (largest max_pairs, robots at once).
        turn: what a robot needs for an update: a lock, where one process serves all.
    """

    name: str
    flat: float
    open: Callable[[], VideoScorer]
    running: Callable[[int, int], AbstractContextManager[Any]]
    turn: AbstractContextManager[Any] = field(default_factory=nullcontext)


class Counted:
    """Counts the bytes that clients send; a context manager."""

    def __enter__(self) -> Counted:
        """Begins to count."""
        self.sent = 0
        self._send = httpx2.Client.send

        def send(client: httpx2.Client, request: httpx2.Request, **options: Any) -> Any:
            self.sent += len(request.content)
            return self._send(client, request, **options)

        httpx2.Client.send = send
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it."""
        httpx2.Client.send = self._send


class Forgetful(VllmSession):
    """Names all of its pairs anew for each question, so that the server can reuse nothing."""

    def append(self, frame: Any, stamp: float) -> None:
        """Adds the next frame."""
        super().append(frame, stamp)
        self._episode = os.urandom(16)
        self._items.clear()


def engines(model: str = "demo") -> Iterator[Engine]:
    """Returns those that can be started here on a checkpoint; says of the others why not."""
    environment = os.environ.get("TOPREWARD_VLLM")
    if environment:
        port = _free_port()
        address = f"vllm+http://127.0.0.1:{port}"
        serve = [str(ROOT / "config/serve/vllm/serve"), model, "--dtype", "float32",
                 "--enforce-eager", "--max-num-seqs", "16"]  # fmt: skip
        run = partial(_vllm, serve, address)
        yield Engine("vLLM", 1.6, partial(_client, address), run)
        yield Engine("vLLM without reuse", 0.0, partial(_forgetful, address), run)
    else:
        print("fleet: vLLM is left out; TOPREWARD_VLLM names what scripts/vllm_environment made.")
    if all(map(importlib.util.find_spec, ("ray", "starlette", "uvicorn"))):  # what [serve] brings
        for replicas in (1, 2):
            address = f"ray+http://127.0.0.1:{_free_port()}"
            name = f"Ray Serve, {replicas} replica{'s' if replicas > 1 else ''}"
            run = partial(_ray_serve, model, address, replicas)
            yield Engine(name, 1.3, partial(_client, address), run)
    else:
        print("fleet: Ray Serve is left out; the extra [serve] is not installed.")


def _client(address: str) -> VideoScorer:
    return open_scorer(address, max_pairs=128, patience=60.0)


def _forgetful(address: str) -> VideoScorer:
    scorer = _client(address)
    assert isinstance(scorer, VllmScorer)
    scorer.start = lambda: Forgetful(scorer)
    return scorer


@contextmanager
def _vllm(command: list[str], address: str, max_pairs: int, _: int) -> Iterator[None]:
    given = {
        "PORT": address.rpartition(":")[2],
        "MAX_PAIRS": str(max_pairs),
        "VLLM_CPU_KVCACHE_SPACE": "2",
    }
    with _server(command, given, address):
        yield


@contextmanager
def _ray_serve(
    model: str, address: str, replicas: int, max_pairs: int, robots: int
) -> Iterator[None]:
    command = [sys.executable, "-m", "topreward_ros.commands", "serve", "--model", model,
               "--device", "cpu", "--replicas", str(replicas), "--sessions", str(robots),
               "--max-pairs", str(max_pairs),
               "--port", address.rpartition(":")[2]]  # fmt: skip
    with _server(command, {}, address):
        yield


@contextmanager
def _server(command: list[str], given: dict[str, str], address: str) -> Iterator[None]:
    process = subprocess.Popen(
        command, env={**os.environ, **given}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + STARTING
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{' '.join(command[:4])} … did not start; try it by hand.")
            time.sleep(0.5)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60.0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address.partition('+')[2]}/health", timeout=2.0).status_code == 200
    except httpx2.HTTPError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
