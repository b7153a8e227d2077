"""`rerun_node` draws what the reward node says, over real DDS, and never holds it up."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from repository import ROOT
from rerun_files import RerunFile
from reward_stack import PATIENCE, START, image, picture, stack

from topreward_msgs.msg import RewardStamped
from topreward_ros.nodes.messages import time_message
from topreward_ros.nodes.viewing.drawing_thread import DrawingThread, Picture
from topreward_ros.nodes.viewing.rerun_parameters import RerunParameters
from topreward_ros.nodes.viewing.rerun_viewer import Viewer

psutil = pytest.importorskip("psutil")
MODULE = "topreward_ros.nodes.viewing.rerun_node"
pytestmark = [pytest.mark.usefixtures("context"), pytest.mark.slow]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def watching(live, **parameters):
    """A rerun_node beside a stack, in a process of its own, that has found the camera."""
    space = live.topics[0].rpartition("/")[0]
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, "--ros-args", "-r", f"__ns:={space}", *words],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        live.wait(lambda: live.cameras[0].get_subscription_count() >= 2)
        live.wait(lambda: live.node.count_subscribers(f"{space}/reward_node/reading") >= 2)
        live.linger(0.5)  # the other side of the match
        yield process
    finally:
        process.kill()
        process.wait()


def viewer_of(process: subprocess.Popen) -> psutil.Process:
    """The viewer that a node has started."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for child in psutil.Process(process.pid).children(recursive=True):
            if child.name() == "rerun":
                return child
        time.sleep(0.05)
    raise AssertionError("no viewer was started")


def test_an_episode_becomes_a_file_with_its_readings_pictures_and_events(model, tmp_path):
    with stack(model) as live:
        live.up()
        with watching(live, show="save", folder=tmp_path) as node:
            readings = live.play(0, 4)
            assert live.change("deactivate")
            live.wait(lambda: live.named("stopped"))
            name = f"{readings[0].episode_id}.rrd"
            live.wait(lambda: (tmp_path / name).exists())
            node.send_signal(signal.SIGINT)
            assert node.wait(PATIENCE) == 0
        read = RerunFile(tmp_path / name)
        times = [one.episode_time for one in readings]
        assert times == [0.0, 0.5, 1.0, 1.5, 2.0]
        assert read.curve("log_prob/log_prob") == [
            (one.episode_time, one.log_prob) for one in readings
        ]
        assert read.curve("progress/progress") == [
            (one.episode_time, one.progress) for one in readings
        ]
        entity = f"/camera{live.topics[0]}"
        pictures = read.values(entity, "EncodedImage:blob")
        assert [time for time, _ in pictures] == pytest.approx(times, abs=1e-6)
        shown = cv2.imdecode(np.array(pictures[2][1], np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        others = [np.abs(shown.astype(int) - picture(seed)).mean() for seed in range(5)]
        assert int(np.argmin(others)) == 2
        stamps = [time for time, _ in read.values(entity, "EncodedImage:blob", line="stamp")]
        assert stamps == pytest.approx([START + time for time in times], abs=1e-6)
        told = [text for _, text in read.texts("/episode/events", "TextLog:text")]
        assert told[0].startswith("started") and told[-1].startswith("stopped (deactivated)")
        assert read.static("/episode/instruction", "TextDocument:text") == readings[0].instruction


def test_each_episode_has_a_file_of_its_own_that_holds_no_other_ones_pictures(model, tmp_path):
    with stack(model) as live:
        live.up()
        with watching(live, show="save", folder=tmp_path) as node:
            first = live.play(0, 2)
            assert live.reset().success
            second = live.play(10, 12)
            live.linger(0.5)  # what it has not heard it cannot draw
            node.send_signal(signal.SIGTERM)
            assert node.wait(PATIENCE) == 0
        found = [RerunFile(tmp_path / f"{one[0].episode_id}.rrd") for one in (first, second)]
        for read in found:
            assert [time for time, _ in read.curve("reward/reward")] == [0.0, 0.5, 1.0]
            pictures = read.values(f"/camera{live.topics[0]}", "EncodedImage:blob")
            assert [time for time, _ in pictures] == pytest.approx([0.0, 0.5, 1.0], abs=1e-6)
        assert sorted(tmp_path.iterdir()) == sorted(read.path for read in found)


def test_a_viewer_that_hangs_or_dies_leaves_the_reward_as_it_was(model):
    with stack(model) as live:
        live.up()
        given = {"show": "web", "port": free_port(), "web_port": free_port()}
        with watching(live, **given) as node:
            before = live.play(0, 5)
            viewer = viewer_of(node)
            viewer.suspend()
            hung = live.play(6, 11)
            assert node.poll() is None
            viewer.kill()
            after = live.play(12, 17)
            assert node.wait(PATIENCE) == 1
            told = node.stdout.read()
        assert "Rerun's viewer was ended by SIGKILL, and nothing is shown any more" in told
        everything = [*before, *hung, *after]
        assert [one.index for one in everything] == list(range(18))
        assert {one.episode_id for one in everything} == {before[0].episode_id}
        # Before the first picture the camera may have been missed.
        assert not [one for one in live.named("fault") if one.readings]
        assert not live.named("stopped")
        assert live.state() == "active"


def test_the_viewer_listens_on_the_loopback_alone(model):
    with stack(model) as live:
        given = {"show": "web", "port": free_port(), "web_port": free_port()}
        live.up()
        with watching(live, **given) as node:
            live.play(0, 1)
            viewer = viewer_of(node)
            connections = viewer.net_connections("tcp")
            listening = {
                (one.laddr.ip, one.laddr.port) for one in connections if one.status == "LISTEN"
            }
            assert listening == {("127.0.0.1", given["port"]), ("127.0.0.1", given["web_port"])}
            node.send_signal(signal.SIGINT)
            assert node.wait(PATIENCE) == 0
            assert not viewer.is_running()


def test_a_viewer_that_takes_nothing_costs_pictures_and_not_the_nodes_time():
    """Rerun's calls wait for it after some hundred MB; the node goes on, and says what it costs."""
    given = RerunParameters(show="web", port=free_port(), web_port=free_port())
    viewer, told = Viewer(given), []
    thread = DrawingThread(viewer, max_width=2000, warn=told.append)
    try:
        first = RewardStamped(episode_id="a", instruction="go")
        first.header.stamp = time_message(START)
        thread.take(first)
        until(lambda: thread.drawn)
        end = time.monotonic() + PATIENCE
        child = next(c for c in psutil.Process().children(recursive=True) if c.name() == "rerun")
        os.kill(child.pid, signal.SIGSTOP)
        noise = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8)
        shot = image(START + 1.0)
        shot.height, shot.width, shot.step = 1500, 2000, 6000
        shot.data.frombytes(noise.tobytes()[shot.data.buffer_info()[1] :])
        longest, waiting, since = 0.0, (0, True), time.monotonic()
        while time.monotonic() - since < 3.0:  # nothing is taken any more
            assert time.monotonic() < end
            began = time.monotonic()
            thread.take(Picture("/lens", shot))
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.01)
            if (thread._waiting.qsize(), thread.left_out == 0) != waiting:
                waiting, since = (thread._waiting.qsize(), thread.left_out == 0), time.monotonic()
        assert longest < 3.0  # of a busy machine; the viewer would be waited for without an end
        assert "The viewer does not keep up or hangs" in told[0]
        assert thread.close(0.5) is False
    finally:
        began = time.monotonic()
        viewer.stop()
    assert time.monotonic() - began < 10.0


def test_a_viewer_elsewhere_that_is_not_there_is_named_and_found_once_it_is():
    port = free_port()
    address = f"rerun+http://127.0.0.1:{port}/proxy"
    told: list[str] = []
    thread = DrawingThread(
        Viewer(RerunParameters(show="connect", address=address)), 64, told.append
    )
    first = RewardStamped(episode_id="a", instruction="go")
    first.header.stamp = time_message(START)
    thread.take(first)
    until(lambda: told)
    assert f"No viewer can be reached at {address}" in told[0] and not thread.drawn
    elsewhere = Viewer(RerunParameters(show="web", port=port, web_port=free_port()))
    try:
        until(lambda: not is_free(port))
        thread.take(first)
        until(lambda: thread.drawn == 1)
        assert thread.close(PATIENCE)
    finally:
        elsewhere.stop()


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def until(happens) -> None:
    end = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_port_in_use_is_one_sentence_that_names_it():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = refused("-p", "show:=web", "-p", f"port:={port}")
    assert f"rerun_node: Port {port} of 127.0.0.1 cannot be taken" in told


def test_without_the_extra_it_ends_with_one_sentence():
    code = f"import sys; sys.modules['rerun'] = None; from {MODULE} import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "rerun_node: Rerun is asked for, and the package rerun-sdk is not installed" in (
        done.stderr
    )
    assert "scripts/setup --extra rerun" in done.stderr


def test_what_cannot_be_a_parameter_is_refused_with_a_sentence():
    assert "port and web_port are both 9090" in refused("-p", "port:=9090")
    assert "show" in refused("-p", "show:=television")
    assert "expected an address such as rerun+http://" in refused("-p", "address:=localhost")
    folder = refused("-p", "show:=save", "-p", "folder:=/proc/nope")
    assert "rerun_node: The folder /proc/nope cannot be made" in folder


def refused(*words: str) -> str:
    """What a node says that cannot start."""
    done = subprocess.run(
        [sys.executable, "-m", MODULE, "--ros-args", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr
