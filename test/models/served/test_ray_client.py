"""A robot's side of a served model, against servers that are none, lie, stall or stumble."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from test_ray_wire import MODEL

from topreward_ros.models.contract import ModelError
from topreward_ros.models.loading import open_scorer
from topreward_ros.models.served.connection import KEY
from topreward_ros.models.served.patience import ServerLost
from topreward_ros.models.served.ray_serve.answer import Answer, pack_answer
from topreward_ros.models.served.ray_serve.served_model import pack_model
from topreward_ros.models.served.ray_serve.update import unpack_update

FRAME = np.zeros((4, 6, 3), np.uint8)
GOOD = {"content-type": "application/json"}


class Served:
    """What a server answers: `(status, headers, body)`, by `model` and `update`."""

    def __init__(self) -> None:
        self.model = lambda: (200, GOOD, pack_model(MODEL))
        self.update = lambda update: (200, GOOD, pack_answer(answer(update)))
        self.asked = []


def answer(update, **changes):
    fields = {
        "episode": update.episode, "frames": update.frames, "fingerprint": MODEL.fingerprint,
        "backend": MODEL.backend.name, "log_probs": (-1.5,) * len(update.instructions),
        "model_time": 0.01, **changes,
    }  # fmt: skip
    return Answer(**fields)


@contextmanager
def listening():
    """Yields what is served, and its address."""
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            served.asked.append(dict(self.headers))
            self.reply(*served.model())

        def do_POST(self):
            served.asked.append(dict(self.headers))
            body = self.rfile.read(int(self.headers["content-length"]))
            self.reply(*served.update(unpack_update(body, MODEL)))

        def reply(self, status, headers, body):
            """Answers; a body that is no bytes comes in parts."""
            self.send_response(status)
            parts = [body] if isinstance(body, bytes) else body
            given = {"content-length": str(len(body))} if isinstance(body, bytes) else {}
            for name, value in {**given, "connection": "close", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.close_connection = True
            try:
                for part in parts:
                    self.wfile.write(part)
            except OSError:
                pass  # the robot has enough

        def log_message(self, *_):
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield served, f"ray+http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def served():
    with listening() as found:
        yield found


def opened(address: str, patience: float = 1.0, **options: object):
    return open_scorer(address, max_pairs=6, patience=patience, **options)


def asked(scorer):
    session = scorer.start()
    session.append(FRAME, 0.0)
    return session.log_probs(["open the drawer"])


def test_a_scorer_is_what_the_server_says_of_its_model(served, monkeypatch):
    monkeypatch.setenv(KEY, "secret-of-the-lab")
    scorer = opened(served[1])
    assert (scorer.name, scorer.fingerprint) == (served[1], MODEL.fingerprint)
    for name in ("frame_size", "prompt_form", "success_threshold", "sample_rate",
                 "motion_threshold", "capabilities", "backend"):  # fmt: skip
        assert getattr(scorer, name) == getattr(MODEL, name)
    assert asked(scorer).tolist() == [-1.5]
    assert all(one["authorization"] == "Bearer secret-of-the-lab" for one in served[0].asked)
    assert len(served[0].asked[1]["x-session-id"]) == 32
    assert not scorer.health.news() and scorer.health.percentiles()[0] > 0


def test_a_number_that_the_model_did_not_give_is_unknown(served):
    served[0].update = lambda update: (200, GOOD, pack_answer(answer(update, log_probs=(np.nan,))))
    assert np.isnan(asked(opened(served[1]))).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_pairs": 8}, "max_pairs is 8, and the server .* has 6"),
        ({"prompt": "chat"}, "prompt_form is 'chat', and .* has 'raw'"),
        ({"frame_size": (8, 8)}, r"frame_size is \(8, 8\), and .* has \(4, 6\)"),
    ],
)
def test_a_server_that_was_started_otherwise_is_refused(served, options, words):
    with pytest.raises(ModelError, match=words):
        open_scorer(served[1], **{"max_pairs": 6, **options})
    with pytest.raises(ModelError, match=r"model is 'other', and .* has 'demo'"):
        opened(served[1] + "#other")


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((404, GOOD, b'{"detail": "Not Found"}'), "none that `serve`.*HTTP 404"),
        ((200, GOOD, b"[]"), "no JSON object"),
        ((200, GOOD, b'{"version": 9}'), "speaks version 9 .* and this robot 1"),
        ((200, GOOD, json.dumps({**json.loads(pack_model(MODEL)), "height": 10**9}).encode()),
         "height is 1000000000"),
        ((401, GOOD, b"{}"), f"refuses the key .* set {KEY}"),
        ((302, {"location": "http://127.0.0.1:9/"}, b""), "elsewhere .HTTP 302"),
    ],
)  # fmt: skip
def test_what_is_no_server_of_this_package_is_refused_in_a_sentence(served, reply, words):
    served[0].model = lambda: reply
    with pytest.raises(ModelError, match=words):
        opened(served[1])


def test_a_wrong_key_is_refused_and_never_shown(served, monkeypatch):
    monkeypatch.setenv(KEY, "the-wrong-secret")
    served[0].model = lambda: (401, GOOD, b"{}")
    with pytest.raises(ModelError, match=f"refuses the key .* set {KEY}") as refusal:
        opened(served[1])
    assert "wrong-secret" not in str(refusal.value)


def endless():
    while True:
        yield bytes(2**16)


def test_an_answer_of_a_gigabyte_is_not_read(served):
    served[0].update = lambda _: (200, {"content-length": str(10**9)}, endless())
    scorer, began = opened(served[1], 60.0), time.monotonic()
    with pytest.raises(ModelError, match="more than 4 MiB"):
        asked(scorer)
    assert time.monotonic() - began < 30.0


def slow():
    while True:
        time.sleep(0.1)
        yield b" "


def busy(pause: str):
    return lambda _: (429, {"retry-after": pause}, b'{"error": "is busy"}')


@pytest.mark.parametrize(
    ("update", "words"),
    [
        (lambda _: (200, {"content-length": "500"}, b"{"), "broke its answer off"),
        (lambda _: (200, GOOD, b"{}"), "no answer that can be read"),
        (lambda _: (200, {"content-length": "90000"}, slow()), "gave no answer within"),
        (
            lambda _: (500, GOOD, b'{"error": "The model failed (CUDA)."}'),
            "in trouble .HTTP 500 The model failed .CUDA",
        ),
        (busy("60"), "is busy"),
        (busy("-5"), "is busy"),
        (busy("soon"), "is busy"),
        (lambda u: (200, GOOD, pack_answer(answer(u, episode="0" * 32))), "another question"),
        (lambda u: (200, GOOD, pack_answer(answer(u, frames=7))), "another question"),
        (lambda u: (200, GOOD, pack_answer(answer(u, log_probs=(-1.0, -2.0)))), "another question"),
    ],
)
def test_a_server_in_trouble_is_asked_again_and_given_up_after_the_patience(served, update, words):
    served[0].update = update
    scorer, began = opened(served[1], 2.0), time.monotonic()
    with pytest.raises(ServerLost, match=words):
        asked(scorer)
    assert time.monotonic() - began < 60.0
    assert [news.lost for news in scorer.health.news()] == [True]


def test_trouble_that_passes_costs_an_answer_that_comes_later(served):
    good = served[0].update
    replies = iter([busy("0.05"), lambda _: (503, {}, b"x"), lambda _: (200, GOOD, b"{")])
    served[0].update = lambda update: next(replies, good)(update)
    scorer = opened(served[1], 10.0)
    assert asked(scorer).tolist() == [-1.5]
    assert [news.lost for news in scorer.health.news()] == [True, False]


@pytest.mark.parametrize("other", [{"fingerprint": "fffe"}, {"backend": "ray, local bfloat16"}])
def test_a_model_that_changed_between_two_updates_is_refused(served, other):
    scorer = opened(served[1])
    session = scorer.start()
    session.append(FRAME, 0.0)
    session.log_probs(["go"])
    served[0].update = lambda update: (200, GOOD, pack_answer(answer(update, **other)))
    session.append(FRAME, 0.5)
    with pytest.raises(ModelError, match="has another model by now"):
        session.log_probs(["go"])
    served[0].update = lambda _: (409, GOOD, b'{"error": "The update is meant for another."}')
    with pytest.raises(ModelError, match=r"refuses .HTTP 409 The update is meant for another"):
        session.log_probs(["go"])


def test_an_instruction_that_is_too_long_is_the_same_error_as_of_a_local_model(served):
    served[0].update = lambda _: (422, GOOD, b'{"error": "The instruction makes 9 tokens."}')
    with pytest.raises(ValueError, match="makes 9 tokens"):
        asked(opened(served[1]))


def test_nobody_there_is_one_sentence():
    with listening() as (_, address):
        pass
    with pytest.raises(ServerLost, match="cannot be reached"):
        opened(address, 0.5)
