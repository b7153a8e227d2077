"""A real vLLM server, where there is one: TOPREWARD_VLLM names what scripts/vllm_environment made.

With RECORD=1 the exchange of test_vllm_recorded.py is recorded anew.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time

import numpy as np
import pytest
from repository import ROOT
from reward_stack import stack
from vllm_exchange import FRAMES, TASKS, Recording, frames, same_each_time, scores

from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.loading import open_scorer
from topreward_ros.models.served.connection import Connection
from topreward_ros.models.served.patience import ServerAway

ENVIRONMENT = os.environ.get("TOPREWARD_VLLM", "")
STARTING = 300.0
pytestmark = [
    pytest.mark.slow,
    pytest.mark.live,
    pytest.mark.skipif(not ENVIRONMENT, reason="TOPREWARD_VLLM names no vLLM environment"),
]


class Vllm:
    """A server in a process group of its own."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"vllm+http://127.0.0.1:{self.port}"
        self.start()

    def start(self, *options: str) -> None:
        """Starts it, and waits until it answers."""
        environment = {**os.environ, "PORT": str(self.port), "VLLM_CPU_KVCACHE_SPACE": "1"}
        command = [str(ROOT / "config/serve/vllm/serve"), "demo", "--dtype", "float32",
                   "--max-num-seqs", "8", "--enforce-eager", *options]  # fmt: skip
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        asked, end = Connection(self.address.partition("+")[2]), time.monotonic() + STARTING
        while True:
            try:
                asked.ask("/v1/models", 2.0)
                return
            except ServerAway:
                assert self.process.poll() is None and time.monotonic() < end
                time.sleep(0.5)

    def kill(self) -> None:
        """Ends all of it at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def vllm():
    server = Vllm()
    open_scorer(server.address)  # the first answer of all takes long
    yield server
    server.kill()


def local_scores(video, max_pairs=64):
    session = load_scorer("demo", device="cpu", max_pairs=max_pairs).start()
    return [shown(session, video, index) for index in range(len(video))]


def shown(session, video, index):
    session.append(video[index], index / 2)
    return session.log_probs(TASKS)


def test_the_exchange_is_recorded(vllm, monkeypatch):
    same_each_time(monkeypatch)
    recording = Recording(monkeypatch)
    told = scores(vllm.address)
    assert len(told) == FRAMES
    if os.environ.get("RECORD"):
        recording.write(told)


def test_robots_at_once_have_the_numbers_of_a_local_model(vllm):
    videos = [np.roll(frames(), shift, axis=0) for shift in range(2)]
    told: list[list] = [[], []]

    def run(robot: int) -> None:
        session = open_scorer(vllm.address, max_pairs=8).start()
        told[robot] = [shown(session, videos[robot], index) for index in range(FRAMES)]

    threads = [threading.Thread(target=run, args=(robot,)) for robot in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [local_scores(video, 8) for video in videos]
    assert np.abs(np.array(told) - np.array(expected)).max() <= 1e-5


def test_two_nodes_on_one_server_publish_what_a_local_model_gives(vllm, context):
    with (
        stack(vllm.address) as one,
        stack(vllm.address) as other,
        stack("demo") as alone,
    ):
        for live in (one, other, alone):
            live.up()
        for index in range(8):
            for live in (one, other, alone):
                live.play(index, index)
        expected = [reading.log_prob for reading in alone.readings]
        for live in (one, other):
            assert [r.log_prob for r in live.readings] == pytest.approx(expected, abs=1e-5)


def test_a_server_that_is_killed_and_started_anew_gives_the_same_numbers(vllm):
    video = frames()
    expected = local_scores(video)
    scorer = open_scorer(vllm.address, patience=STARTING)
    session = scorer.start()
    told = [shown(session, video, index) for index in range(8)]
    vllm.kill()
    beginning = threading.Thread(target=vllm.start)
    beginning.start()
    told += [shown(session, video, index) for index in range(8, FRAMES)]
    beginning.join()
    assert np.abs(np.array(told) - np.array(expected)).max() <= 1e-5
    assert [news.lost for news in scorer.health.news()] == [True, False]
