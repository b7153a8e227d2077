"""What `serve` refuses before it starts anything."""

from __future__ import annotations

import importlib.util
import socket
import sys

import pytest

from topreward_ros.models.served.connection import KEY
from topreward_ros.serving.command import main
from topreward_ros.serving.listening import is_loopback
from topreward_ros.serving.metrics import exposition


@pytest.fixture(autouse=True)
def without_key(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)


@pytest.fixture
def installed(monkeypatch):
    """As if Ray Serve were: nothing of it is started here."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())


def said(capsys, *arguments: str) -> str:
    assert main(list(arguments)) == 1
    told = capsys.readouterr().err
    assert told.startswith("serve: ") and told.count("\n") == 1
    return told


def test_without_ray_serve_one_sentence_names_the_extra(capsys, monkeypatch):
    for name in ("ray", "starlette"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'topreward_ros[serve,models]'" in said(capsys)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "gpu"])
def test_no_key_no_open_door(installed, capsys, host):
    assert f"--host {host} is open to other machines, and there is no key" in said(
        capsys, "--host", host
    )


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("localhost.lab", False), ("", False)],
)  # fmt: skip
def test_what_loopback_is(host, expected):
    assert is_loopback(host) is expected


def test_a_key_that_can_be_guessed_is_refused(installed, capsys, monkeypatch):
    monkeypatch.setenv(KEY, "robots")
    told = said(capsys)
    assert f"{KEY} has to have 16 or more" in told and "robots" not in told


def test_a_port_that_is_taken_is_one_sentence(installed, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert f"port {port}: another program has it" in said(capsys, "--port", str(port))


def test_a_certificate_that_is_none_is_one_sentence(installed, capsys, tmp_path):
    for name in ("cert", "key"):
        (tmp_path / name).write_text("-----BEGIN NOTHING-----")
    files = ["--tls-certificate", str(tmp_path / "cert"), "--tls-key"]
    assert "expected two PEM files" in said(capsys, *files, str(tmp_path / "key"))
    assert "expected two PEM files" in said(capsys, *files, str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--replicas", "0"], "whole number of 1 to"),
        (["--sessions", "many"], "whole number of 1 to"),
        (["--port", "99999"], "expected 1 to 65535"),
        (["--tls-key", "k"], "belong together"),
        (["--host\x1b[2J"], r"\x1b[2J"),
    ],
)
def test_options_that_do_not_fit_end_with_status_2(capsys, arguments, words):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and words in capsys.readouterr().err


def test_metrics_are_told_as_prometheus_reads_them():
    text = exposition([("b", {"updates": 3, "model_seconds": 0.25}), ("a", {"updates": 1})])
    lines = text.decode().splitlines()
    assert "# TYPE topreward_updates_total counter" in lines
    assert lines.index('topreward_updates_total{replica="a"} 1') + 1 == lines.index(
        'topreward_updates_total{replica="b"} 3'
    )
    assert 'topreward_model_seconds_total{replica="b"} 0.25' in lines
    assert text.endswith(b"\n")
