"""What a real vLLM server was asked and answered, kept in a file, and played again over HTTP."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from repository import ROOT

from topreward_ros.models.loading import open_scorer
from topreward_ros.models.served import connection
from topreward_ros.models.served.vllm import question, scorer

FILE = Path(__file__).parents[1] / "data" / "vllm_exchange.json"
TASKS = ["put the red cube on the green disc", "open the drawer"]
FRAMES = 14
KEPT = 4
"""Pairs; so that the exchange has a thinning in it."""


def frames() -> np.ndarray:
    """A video of the demo model's size that is the same each time."""
    return np.random.default_rng(7).integers(0, 256, (FRAMES, 96, 96, 3), np.uint8)


def same_each_time(patch: pytest.MonkeyPatch) -> None:
    """Takes chance out of names and numbers of requests."""
    counter = iter(range(10**6))

    class Named:
        def __init__(self) -> None:
            self.hex = f"{next(counter):032x}"

    patch.setattr(scorer.os, "urandom", lambda count: next(counter).to_bytes(count, "big"))
    patch.setattr(question.uuid, "uuid4", Named)


def scores(address: str) -> np.ndarray:
    """Scores the video by a server, (FRAMES, 2) nats, with the server's cache lost in between."""
    session = open_scorer(address, max_pairs=KEPT).start()
    told = []
    for index, frame in enumerate(frames()):
        session.append(frame, index / 2)
        if index == 9:  # a pair that the server has never seen is only named
            session._items[next(iter(session._items))].name = "0" * 64
            session._known.add("0" * 64)
        told.append(session.log_probs(TASKS))
    return np.array(told)


class Recording:
    """Keeps every exchange with a server."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.exchanges: list[dict] = []
        bounded = connection.bounded_client

        def recorded(url: str):
            client = bounded(url)
            client.event_hooks["response"].append(self._keep)
            return client

        patch.setattr(connection, "bounded_client", recorded)

    def _keep(self, response) -> None:
        response.read()
        request = response.request
        self.exchanges.append(
            {
                "path": request.url.path,
                "request": hashlib.sha256(request.content).hexdigest(),
                "status": response.status_code,
                "answer": response.text.replace(str(ROOT), ""),  # of no machine
            }
        )

    def write(self, told: np.ndarray) -> None:
        """Writes them, with the scores that came of them."""
        kept = {"scores": told.tolist(), "exchanges": self.exchanges}
        FILE.write_text(json.dumps(kept, indent=1) + "\n")


class Player:
    """Answers as the recorded server did, as long as it is asked the same."""

    def __init__(self) -> None:
        kept = json.loads(FILE.read_text())
        self.scores, self._left = np.array(kept["scores"]), list(kept["exchanges"])
        self.unlike: list[str] = []
        player = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                player._answer(self)

            def do_POST(self) -> None:
                player._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.address = f"vllm+http://127.0.0.1:{self._http.server_port}#demo"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Ends it."""
        self._http.shutdown()
        self._http.server_close()

    @property
    def left(self) -> int:
        """Exchanges that nobody asked for yet."""
        return len(self._left)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        kept = self._left.pop(0) if self._left else {"path": "", "request": "", "status": 400}
        asked = (handler.path, hashlib.sha256(body).hexdigest())
        if asked != (kept["path"], kept["request"]):
            self.unlike.append(handler.path)
        data = kept.get("answer", "{}").encode()
        handler.send_response(kept["status"])
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
