"""A real Ray Serve with two replicas, behind TLS and a key, and what it does for its robots."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
for name in ("ray", "starlette", "uvicorn", "cryptography"):
    pytest.importorskip(name, reason="Ray Serve is not installed: .venv/bin/pip install '.[serve]'")
pytest.importorskip("rclpy")

from process_tree import LOOPBACK, await_end_of, below, listening
from repository import ROOT
from reward_stack import START, image, ros, stack, write_checkpoint

from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.contract import ModelError
from topreward_ros.models.loading import open_scorer
from topreward_ros.models.served.connection import KEY
from topreward_ros.models.served.ray_serve.update import pack_update
from topreward_ros.quiet_ray import RayTrouble
from topreward_ros.serving import replica as replica_module
from topreward_ros.serving.replica import Replica
from topreward_ros.serving.replicas import check_problems

pytestmark = [pytest.mark.slow, pytest.mark.live]
SECRET = "0123456789abcdef-the-lab"
TASKS = ("open the drawer", "close it")
PATIENCE = 240.0
KEPT = 8
SAME = 1e-5
"""nat of float32."""


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Writes a certificate of 127.0.0.1, signed by itself; returns it and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.timezone.utc)
    place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(),
        now - datetime.timedelta(days=1), now + datetime.timedelta(days=1),
    )  # fmt: skip
    made = made.add_extension(place, critical=True).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    )
    return folder / "certificate.pem", folder / "key.pem"


class Running:
    """A `serve` in a session of its own, as a terminal starts it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.scratch = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
        self.errors = folder / f"stderr_{self.port}.txt"
        command = [sys.executable, "-m", "topreward_ros.commands", "serve", *arguments]
        with self.errors.open("w") as file:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), "--device", "cpu"],
                cwd=ROOT, stderr=file, stdout=file, start_new_session=True,
                env={**os.environ, "TMPDIR": str(self.scratch), KEY: SECRET},
            )  # fmt: skip
        self.seen = set()

    def told(self) -> str:
        """What it printed."""
        return self.errors.read_text()

    def until_it_serves(self) -> None:
        """Waits for the sentence that says so."""
        end = time.monotonic() + PATIENCE
        while "is served at" not in self.told():
            self.seen |= below(self.process.pid)
            assert self.process.poll() is None and time.monotonic() < end, self.told()
            time.sleep(0.1)

    def end(self, number: int) -> int:
        """Sends a signal to all, as a terminal does, and waits; nothing may be left."""
        self.seen |= below(self.process.pid)
        send = os.killpg if number == signal.SIGINT else os.kill
        send(self.process.pid, number)
        status = self.process.wait(PATIENCE)
        await_end_of(self.seen, self.scratch, 20)
        return status

    def kill(self) -> None:
        """Ends what a failed test left."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(write_checkpoint(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def server(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    certificate, key = write_certificate(folder)
    running = Running(
        folder, "--model", checkpoint, "--replicas", "2", "--sessions", "3",
        "--max-pairs", str(KEPT), "--tls-certificate", str(certificate), "--tls-key", str(key),
    )  # fmt: skip
    running.certificate = certificate
    try:
        running.until_it_serves()
        yield running
        assert running.end(signal.SIGINT) == 130, running.told()
        lines = running.told().splitlines()
        assert [line for line in lines if not line.startswith("serve: ")] == []
        assert lines[-1] == "serve: stopped."
    finally:
        running.kill()


@pytest.fixture
def address(server, monkeypatch):
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    return f"ray+https://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def local(checkpoint):
    return load_scorer(checkpoint, device="cpu", max_pairs=KEPT)


def video(seed: int, frames: int = 40):
    return np.random.default_rng(seed).integers(0, 256, (frames, 64, 64, 3), np.uint8)


def played(session, frames):
    found = []
    for index, frame in enumerate(frames):
        session.append(frame, index / 2)
        found.append(session.log_probs(TASKS))
        session.settle()
    return np.array(found)


def ask(server, path: str, body: bytes | None = None, key: str = SECRET, **headers: str):
    """Returns status and body."""
    context = ssl.create_default_context(cafile=server.certificate)
    request = urllib.request.Request(f"https://127.0.0.1:{server.port}{path}", body, headers)
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def metrics(server) -> dict[str, dict[str, float]]:
    """By name, then by replica."""
    found = {}
    for line in ask(server, "/metrics")[1].decode().splitlines():
        if match := re.fullmatch(r'(\w+)\{replica="(\w+)"\} (\S+)', line):
            found.setdefault(match[1], {})[match[2]] = float(match[3])
    return found


def test_six_robots_on_two_replicas_get_the_numbers_of_a_model_of_their_own(server, address, local):
    assert "2 replicas with 3 sessions each" in server.told()
    scorers = [open_scorer(address, max_pairs=KEPT) for _ in range(6)]
    found = [None] * 6

    def drive(robot: int) -> None:
        found[robot] = played(scorers[robot].start(), video(robot))

    threads = [threading.Thread(target=drive, args=(robot,)) for robot in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for robot in range(6):
        assert np.abs(found[robot] - played(local.start(), video(robot))).max() <= SAME
    told = metrics(server)
    assert len(told["topreward_updates_total"]) == 2
    assert sum(told["topreward_updates_total"].values()) == 6 * 40
    # By chance one replica has up to six of them; then they take its sessions from each other.
    resent = sum(scorer.health.resent for scorer in scorers)
    assert resent == sum(told["topreward_resends_asked_total"].values())


def read(node, index: int, seed: int) -> float:
    """Shows a node the picture of a half-second; returns the log-prob that it reads."""
    count = len(node.readings)
    node.cameras[0].publish(image(START + index / 2, seed))
    node.wait(lambda: len(node.readings) > count)
    return node.readings[-1].log_prob


def test_six_nodes_share_the_server_and_read_what_a_node_of_ones_own_reads(
    server, address, checkpoint
):
    parameters = {
        "max_pairs": KEPT, "motion_gate": False, "sample_rate": 2.0, "success_threshold": -1.0,
        "server_patience": 60.0, "camera_timeout": 600.0,
    }  # fmt: skip
    with ros(), contextlib.ExitStack() as nodes:
        robots = [nodes.enter_context(stack(address, **parameters)) for _ in range(6)]
        own = nodes.enter_context(stack(checkpoint, **parameters))
        for one in (*robots, own):
            one.up()
        found = [[] for _ in robots]
        for index in range(10):
            for robot, one in enumerate(robots):
                found[robot].append(read(one, index, 100 * robot + index))
        for robot, one in enumerate(robots):
            if robot:
                assert own.reset().success
            expected = [read(own, 10 * robot + i, 100 * robot + i) for i in range(10)]
            assert np.abs(np.array(found[robot]) - expected).max() <= SAME
            assert not one.named("stopped")


def test_nothing_listens_beyond_loopback(server):
    addresses = listening(below(server.process.pid))
    assert addresses and addresses <= LOOPBACK


def test_who_has_no_key_or_another_one_gets_a_sentence_and_nothing_else(
    server, address, monkeypatch
):
    assert ask(server, "/health", key="") == (200, b'{"status": "ok"}')
    for key in ("", SECRET[:-1], SECRET + "x"):
        for path, body in (("/metrics", None), ("/v1/model", None), ("/v1/update", b"x")):
            status, text = ask(server, path, body, key)
            assert status == 401 and "key is missing or wrong" in json.loads(text)["error"]
    monkeypatch.setenv(KEY, "another-key-than-theirs")
    with pytest.raises(ModelError, match="refuses the key"):
        open_scorer(address, max_pairs=KEPT)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ModelError, match="authority to this machine, or name it in SSL_CERT_FILE"):
        open_scorer(address, max_pairs=KEPT)


def test_hostile_bodies_get_a_sentence_each_and_harm_nobody(server, address, local):
    scorer = open_scorer(address, max_pairs=KEPT)
    session, frames, sent = scorer.start(), video(9, 12), []
    true_ask = session._ask
    session._ask = lambda update: (sent.append(update), true_ask(update))[1]
    first = played(session, frames[:6])
    good = pack_update(sent[-1])
    length = int.from_bytes(good[8:12], "little")
    for body, expected in (
        (b"", 400),
        (os.urandom(5000), 400),
        (good[:40], 400),
        (good[:-7], 400),
        (good[:12] + b"[" * length + good[12 + length :], 400),
        (good[:4] + b"\x07" + good[5:], 400),
        (bytes(10**7), 413),
    ):
        status, text = ask(server, "/v1/update", body)
        words = json.loads(text)["error"]
        assert status == expected and words.isprintable() and "\n" not in words
    for path, body in (("/", None), ("/v1/model", b"x"), ("/v1/update", None), ("/x", b"")):
        assert ask(server, path, body)[0] == 404
    with pytest.raises(ValueError, match="tokens"):
        session.log_probs(["go " * 1300])
    for index in range(6, 12):
        session.append(frames[index], index / 2)
        first = np.concatenate([first, session.log_probs(TASKS)[None]])
    assert np.abs(first - played(local.start(), frames)).max() <= SAME


def test_a_killed_replica_costs_a_resend_a_fault_and_a_return_and_no_reading(
    server, address, checkpoint
):
    parameters = {
        "max_pairs": KEPT, "motion_gate": False, "sample_rate": 2.0, "success_threshold": -1.0,
        "server_patience": 60.0, "camera_timeout": 600.0,
    }  # fmt: skip
    with ros(), stack(address, **parameters) as served, stack(checkpoint, **parameters) as own:
        for one in (served, own):
            one.up()
        found, expected = served.play(0, 13), own.play(0, 13)
        before = metrics(server)["topreward_updates_total"]
        found += served.play(14, 14)
        after = metrics(server)
        grown = [name for name, count in after["topreward_updates_total"].items()
                 if count > before[name]]  # fmt: skip
        assert len(grown) == 1  # it is sticky
        os.kill(int(after["topreward_process_id"][grown[0]]), signal.SIGKILL)
        found += served.play(15, 30)
        expected += own.play(14, 30)
        log_probs = np.array([[one.log_prob for one in each] for each in (found, expected)])
        assert log_probs.shape == (2, 31) and np.abs(log_probs[0] - log_probs[1]).max() <= SAME
        served.wait(lambda: len(served.named("recovered")) >= 1)
        served.wait(lambda: len(served.named("recovered")) == len(served.named("fault")))
        assert not served.named("stopped")
        health = served.reward_node.runner.equipment.scorer.health
        assert 1 <= health.resent <= 2  # its place in the ring may come back to it
        assert served.values("model")["backend"].startswith("ray, local float32")


def test_a_replica_that_cannot_load_its_model_says_why_and_then_gives_way(tmp_path, monkeypatch):
    monkeypatch.setattr(replica_module, "keep_to_loopback", lambda: None)  # nothing listens here
    replica = Replica({"model": str(tmp_path / "no_model"), "device": "cpu"})
    assert "no_model" in replica.problem() and "\n" not in replica.problem()
    with pytest.raises(RayTrouble, match="no_model"):
        check_problems(["", replica.problem()])
    check_problems(["", ""])
    replica.check_health()  # as long as its sentence may be asked for
    monkeypatch.setattr(replica_module, "PROBLEM_TOLD", -1.0)
    with pytest.raises(RuntimeError, match="no_model"):
        replica.check_health()
