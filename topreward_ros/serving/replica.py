"""One model in a process of Ray Serve, as HTTP sees it."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from topreward_ros.models.contract import ModelError
from topreward_ros.models.served.connection import KEY
from topreward_ros.models.served.ray_serve.answer import pack_answer
from topreward_ros.models.served.ray_serve.fields import WireError
from topreward_ros.models.served.ray_serve.scorer import MODEL, UPDATE
from topreward_ros.models.served.ray_serve.served_model import pack_model
from topreward_ros.models.served.ray_serve.update import largest_update, unpack_update
from topreward_ros.printable import printable
from topreward_ros.serving.held_videos import HeldVideos, OtherModel
from topreward_ros.serving.loopback import keep_to_loopback
from topreward_ros.serving.metrics import METRICS, exposition

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

APPLICATION, DEPLOYMENT = "topreward", "model"
HEALTH = "/health"
PROBLEM_TOLD = 30.0
"""s for which a replica without a model stays, to say why; then Ray Serve makes another."""
log = logging.getLogger(__name__)


class Refusal(Exception):
    """What is answered in place of a score.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Replica:
    """Loads a model, and answers robots. One thread alone touches the model."""

    def __init__(self, model: dict[str, Any]) -> None:
        """Loads the model.

        Args:
            model: what `load_scorer` is given.
        """
        keep_to_loopback()
        self._thread = ThreadPoolExecutor(1, "model")
        self._key = os.environ.get(KEY, "").strip()
        self._began, self._problem = time.monotonic(), ""
        self._held: HeldVideos | None = None
        try:
            self._held = self._thread.submit(_load, model).result()
        except (ModelError, ValueError, OSError) as error:
            self._problem = printable(error)

    def problem(self) -> str:
        """Returns why there is no model, one sentence; "" where there is one."""
        return self._problem

    def about(self) -> tuple[str, str]:
        """Returns fingerprint and backend of the model."""
        model = self._held.model
        return model.fingerprint, model.backend.name

    def counts(self) -> tuple[str, dict[str, float]]:
        """Returns the name of this replica, and what `/metrics` tells of it."""
        from ray import serve

        name = serve.get_replica_context().replica_id.unique_id
        counts = self._held.counts() if self._held else {}
        return name, {**counts, "process_id": os.getpid()}

    def check_health(self) -> None:
        """Raises RuntimeError where another replica may fare better than this one."""
        if self._problem and time.monotonic() - self._began > PROBLEM_TOLD:
            raise RuntimeError(self._problem)

    async def __call__(self, request: Request) -> Response:
        """Answers a request."""
        from starlette.responses import Response

        try:
            kind, body = await self._answer(request)
            return Response(body, media_type=kind)
        except Refusal as refusal:
            body = json.dumps({"error": str(refusal)}).encode()
            return Response(body, refusal.status, media_type="application/json")

    async def _answer(self, request: Request) -> tuple[str, bytes]:
        method, path = request.method, request.url.path
        if path != HEALTH and self._key:
            given = request.headers.get("authorization", "").encode("latin-1", "replace")
            if not hmac.compare_digest(given, f"Bearer {self._key}".encode()):
                raise Refusal(401, f"The key is missing or wrong; set {KEY} to this server's.")
        if self._held is None:
            raise Refusal(503, self._problem)
        if (method, path) == ("GET", HEALTH):
            return "application/json", b'{"status": "ok"}'
        if (method, path) == ("GET", METRICS):
            return "text/plain; version=0.0.4", await _all_counts()
        if (method, path) == ("GET", MODEL):
            return "application/json", pack_model(self._held.model)
        if (method, path) == ("POST", UPDATE):
            return "application/json", await self._update(request, self._held)
        raise Refusal(404, f"There is no {method} {printable(path, 80)} here.")

    async def _update(self, request: Request, held: HeldVideos) -> bytes:
        body = await _body(request, largest_update(held.model))
        try:
            update = unpack_update(body, held.model)
            del body
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._thread, held.answer, update)
        except OtherModel as error:
            raise Refusal(409, str(error)) from None
        except WireError as error:
            raise Refusal(400, str(error)) from None
        except ValueError as error:
            raise Refusal(422, printable(error)) from None
        except Exception as error:
            log.exception("An update failed.")
            words = printable(f"{type(error).__name__}: {error}", 500)
            raise Refusal(500, f"The model failed ({words}); see the server's log.") from None
        # In the pause after the answer.
        self._thread.submit(held.settle, update.episode)
        return pack_answer(answer)


def _load(model: dict[str, Any]) -> HeldVideos:
    from topreward_ros.models.checkpoints.loading import load_scorer

    return HeldVideos(load_scorer(**model, rehearse=True))


async def _body(request: Request, largest: int) -> bytes:
    words = f"The update is larger than the {largest} bytes that all kept frames of this model take"
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or len(length) > 18 or int(length) > largest:
        raise Refusal(413, f"{words}.")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > largest:
            raise Refusal(413, f"{words}.")
        parts.append(part)
    return b"".join(parts)


async def _all_counts() -> bytes:
    from ray import serve

    handle = serve.get_deployment_handle(DEPLOYMENT, APPLICATION)
    return exposition(await handle.broadcast("counts").results_async())
