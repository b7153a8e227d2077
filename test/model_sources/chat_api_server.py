"""A server on this machine that speaks OpenAI's and Gemini's wire formats, and sees what it gets.

Its log-probs are computed from the pixels and texts that have arrived, so that a test which knows
what should have been sent knows the number too.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from topreward_ros.method.prompt import QUESTION

KEY = "sk-test-8dK2-never-to-be-seen"
VERSION = "vision-1-2026-11-01"


def value_of(parts: Sequence[str | np.ndarray]) -> float:
    """Returns the log-prob that the server gives to "True" after these texts and pictures."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part.tobytes())
    return -0.1 - 8.0 * int.from_bytes(digest.digest()[:6], "big") / 2**48


def expected(frames: Sequence[np.ndarray], stamps: Sequence[float], instruction: str) -> float:
    """Returns that of a video as the method shows it: stamps and pictures in turn, the question."""
    parts: list[str | np.ndarray] = []
    for frame, stamp in zip(frames, stamps, strict=True):
        parts += [f"<{stamp:.1f} seconds>", frame]
    return value_of([*parts, QUESTION.format(instruction=instruction, period="")])


@dataclass
class Asked:
    """One question as it has arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    parts: list[str | np.ndarray]

    @property
    def pictures(self) -> int:
        """How many there are."""
        return sum(not isinstance(part, str) for part in self.parts)


Reply = Callable[[BaseHTTPRequestHandler, Asked, str], None]


@dataclass
class ChatApi:
    """The server's mind.

    Attributes:
        url: of it.
        asked: all questions, in order.
        replies: what comes in place of the next answers; `None` is the usual one.
        always: what comes in place of every answer that `replies` has nothing for.
        version: of the model.
    """

    url: str
    asked: list[Asked] = field(default_factory=list)
    replies: deque[Reply | None] = field(default_factory=deque)
    always: Reply | None = None
    version: str = VERSION

    def openai(self, model: str = "vision-1") -> str:
        """Returns the address of a model."""
        return f"openai+{self.url}/v1#{model}"

    def gemini(self, model: str = "vision-1") -> str:
        """Returns the address of a model."""
        return f"gemini+{self.url}#{model}"


def tops(true: float | None, false: float = -0.4) -> list[tuple[str, float]]:
    """Returns 20 tokens, among them two that are spelled nearly so."""
    others = [("False", false), (" True", -0.01), ("true", -0.02)]
    others += [(f"word{index}", -3.0 - index) for index in range(16)]
    told = others + ([("True", true)] if true is not None else [("word16", -30.0)])
    return sorted(told, key=lambda pair: -pair[1])


def answer(
    true: float | Callable[[Asked], float | None] | None = lambda asked: value_of(asked.parts),
) -> Reply:
    """Makes an answer with this log-prob of "True"; None: it is not among the 20."""

    def reply(handler: BaseHTTPRequestHandler, asked: Asked, version: str) -> None:
        value = true(asked) if callable(true) else true
        _answer(handler, asked, tops(value, value_of(asked.parts)), version)

    return reply


def blind(handler: BaseHTTPRequestHandler, asked: Asked, version: str) -> None:
    """Answers as a model that sees nothing."""
    _answer(handler, asked, tops(-1.0), version)


def censored_below(pictures: int) -> Reply:
    """Makes answers that are censored as long as there are fewer pictures; -1.0 nat from then."""
    return answer(lambda asked: None if asked.pictures < pictures else -1.0)


def plain(status: int, body: Any, headers: dict[str, str] | None = None) -> Reply:
    """Makes an answer of just that; a body that is no bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda handler, *_: send(handler, status, data, headers)


def hang(seconds: float) -> Reply:
    """Makes an answer that comes only then."""
    return lambda *given: (time.sleep(seconds), answer()(*given))


def cut_off(handler: BaseHTTPRequestHandler, asked: Asked, version: str) -> None:
    """Breaks the answer off in the middle of its body."""
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"ind')
    handler.close_connection = True


def drop_by_drop(handler: BaseHTTPRequestHandler, asked: Asked, version: str) -> None:
    """Sends a byte of the body at a time, each before anybody would give up waiting for it."""
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", "1000")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b" ")
        time.sleep(0.05)


def gigabyte(*, announced: bool) -> Reply:
    """Makes an answer of 1 GB; counts in `gigabyte.sent` what could be sent of it."""

    def reply(handler: BaseHTTPRequestHandler, *_: object) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        if announced:
            handler.send_header("content-length", str(10**9))
        handler.end_headers()
        piece = b" " * 2**20
        try:
            for _ in range(1000):
                handler.wfile.write(piece)
                reply.sent += len(piece)
        except OSError:
            pass
        handler.close_connection = True

    reply.sent = 0
    return reply


def send(
    handler: BaseHTTPRequestHandler,
    status: int,
    data: bytes,
    headers: dict[str, str] | None = None,
) -> None:
    """Sends a whole answer."""
    handler.send_response(status)
    for name, value in {"content-type": "application/json", **(headers or {})}.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


@contextmanager
def chat_api() -> Iterator[ChatApi]:
    """Runs a server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are sent apart; it would wait in between

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = json.loads(self.rfile.read(length))
            asked = Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, body, [])
            asked.parts = list(_parts(body))
            api.asked.append(asked)
            reply = (api.replies.popleft() if api.replies else None) or api.always
            reply = reply or _as_usual
            try:
                reply(self, asked, api.version)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *given: object) -> None:
            if not isinstance(sys.exc_info()[1], OSError):  # a client that hangs up may do so
                super().handle_error(*given)

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api = ChatApi(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _as_usual(handler: BaseHTTPRequestHandler, asked: Asked, version: str) -> None:
    """Answers as a service does, which looks at key, model and what is asked for first."""
    gemini = "generateContent" in asked.path
    key = asked.headers.get("x-goog-api-key" if gemini else "authorization", "")
    if key.removeprefix("Bearer ") != KEY:
        told = f"Incorrect API key provided: {key}."
        send(handler, 401, json.dumps({"error": {"message": told, "code": 401}}).encode())
    elif "vision-1" not in f"{asked.path} {asked.body.get('model')}":
        told = {"error": {"message": "The model does not exist.", "code": 404}}
        send(handler, 404, json.dumps(told).encode())
    else:
        answer()(handler, asked, version)


def _answer(
    handler: BaseHTTPRequestHandler, asked: Asked, told: list[tuple[str, float]], version: str
) -> None:
    form = _gemini_answer if "generateContent" in asked.path else _openai_answer
    send(handler, 200, json.dumps(form(told, version)).encode())


def _parts(body: dict[str, Any]) -> Iterator[str | np.ndarray]:
    """Yields what a user's turn holds, in its order, with the pixels of its pictures."""
    if "contents" in body:
        assert [content["role"] for content in body["contents"]] == ["user"]
        for part in body["contents"][0]["parts"]:
            data = part.get("inlineData")
            if data is None:
                yield part["text"]
            else:
                yield _pixels(data.get("mimeType") or data["mime_type"], data["data"])
        return
    assert [message["role"] for message in body["messages"]] == ["user"]
    for part in body["messages"][0]["content"]:
        if part["type"] == "text":
            yield part["text"]
        else:
            kind, data = part["image_url"]["url"].removeprefix("data:").split(";base64,")
            yield _pixels(kind, data)


def _pixels(kind: str, data: str) -> np.ndarray:
    assert kind == "image/png", "only what loses nothing"
    file = base64.b64decode(data.replace("-", "+").replace("_", "/"))
    picture = Image.open(io.BytesIO(file))
    assert picture.format == "PNG" and picture.mode == "RGB"
    return np.asarray(picture)


def _openai_answer(told: list[tuple[str, float]], version: str) -> dict[str, Any]:
    top = [{"token": token, "logprob": value, "bytes": None} for token, value in told]
    choice = {
        "index": 0,
        "finish_reason": "length",
        "message": {"role": "assistant", "content": told[0][0], "refusal": None},
        "logprobs": {"content": [{**top[0], "top_logprobs": top}], "refusal": None},
    }
    usage = {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": version,
        "choices": [choice], "usage": usage,
    }  # fmt: skip


def _gemini_answer(told: list[tuple[str, float]], version: str) -> dict[str, Any]:
    top = [
        {"token": token, "tokenId": number, "logProbability": value}
        for number, (token, value) in enumerate(told)
    ]
    candidate = {
        "content": {"role": "model", "parts": [{"text": told[0][0]}]},
        "finishReason": "MAX_TOKENS",
        "avgLogprobs": told[0][1],
        "logprobsResult": {"topCandidates": [{"candidates": top}], "chosenCandidates": [top[0]]},
    }
    assert math.isfinite(told[0][1])
    return {"candidates": [candidate], "modelVersion": version}
