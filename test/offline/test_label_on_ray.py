"""Workers of Ray label as one process does, to the byte, also where one is killed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("torch")

from checkpoints import write_qwen3_vl
from lerobot_sets import write_v30
from process_tree import LOOPBACK, await_end_of, below, listening, title
from repository import ROOT

from topreward_ros.offline.label import main
from topreward_ros.quiet_ray import ON_LOOPBACK, SILENT

OUTPUTS = ("readings.csv", "progress.parquet", "weights.parquet")
EPISODES = 6
PATIENCE = 240.0
"""s that a run may take on a busy machine; alone it takes about 20."""


@pytest.fixture(scope="module")
def ray_installed():
    reason = "Ray is not installed: .venv/bin/pip install '.[cluster]'"
    return pytest.importorskip("ray", reason=reason)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(write_qwen3_vl(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets") / "drawer"
    tasks = [[f"open drawer {number}"] for number in range(EPISODES)]
    return write_v30(root, tasks, [40 + number for number in range(EPISODES)])


def asked(dataset, checkpoint, folder):
    folder.mkdir(exist_ok=True)
    flags = ("--output", "--progress", "--weights")
    files = [
        word
        for flag, name in zip(flags, OUTPUTS, strict=True)
        for word in (flag, str(folder / name))
    ]
    return [
        str(dataset), "--model", checkpoint, "--device", "cpu", "--no-motion-gate", *files,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def labelled(dataset, checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    assert main(asked(dataset, checkpoint, folder)) == 0
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


class Cluster:
    """A Ray that somebody else has started, with nothing of it beyond loopback."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.scratch = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))  # names of sockets are short
        self.output = folder / "ray.txt"
        command = [
            str(Path(sys.executable).with_name("ray")), "start", "--head", "--block",
            "--port", self.address.rpartition(":")[2], "--num-cpus", "4",
            "--include-dashboard", "false", "--temp-dir", str(self.scratch),
            "--object-store-memory", "100000000",
        ]  # fmt: skip
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                command, stdout=file, stderr=file, start_new_session=True,
                env={**os.environ, **SILENT, **ON_LOOPBACK},
            )  # fmt: skip
        end = time.monotonic() + PATIENCE
        while "Ray runtime started" not in self.output.read_text():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < end, self.output.read_text()
            time.sleep(0.05)

    def end(self):
        """Ends all of it."""
        pids = {self.process.pid, *below(self.process.pid)}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, ray_installed):
    """Starts once what would else be started for each test."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.end()


class Running:
    """A `label` in a session of its own, as a terminal starts it."""

    def __init__(self, arguments, folder, cluster=None):
        self.scratch = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
        command = [sys.executable, "-m", "topreward_ros.commands", "label", *arguments]
        self.errors = (folder / "stderr.txt").open("w+")
        self.process = subprocess.Popen(
            command, cwd=ROOT, stderr=self.errors, stdout=self.errors, start_new_session=True,
            env={**os.environ, "TMPDIR": str(self.scratch),
                 "FORCE_COLOR": "1", "COLUMNS": "200"},
        )  # fmt: skip
        self.seen = set()
        self.workers_of = cluster.process.pid if cluster else self.process.pid

    def until(self, true):
        """Waits until something is true; returns it."""
        end = time.monotonic() + PATIENCE
        while not (found := true()):
            self.seen |= below(self.process.pid)
            assert self.process.poll() is None, self.told()
            assert time.monotonic() < end, self.told()
            time.sleep(0.03)
        return found

    def labelling(self):
        """The workers that have an episode now."""
        return [pid for pid in below(self.workers_of)
                if title(pid).startswith("ray::EpisodeWorker.label")]  # fmt: skip

    def end(self):
        """Waits; nothing may be left, no process and no file."""
        status = self.process.wait(PATIENCE)
        await_end_of(self.seen, self.scratch, 10)
        return status

    def told(self):
        """What it printed, as on a terminal, without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", Path(self.errors.name).read_text())


@pytest.fixture
def run(tmp_path, ray_installed):
    started = []

    def start(arguments, cluster=None):
        started.append(Running(arguments, tmp_path, cluster))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()
        one.errors.close()


def done(folder):
    return list((folder / "readings.csv.partial").glob("*.episode.json"))


@pytest.mark.slow
@pytest.mark.live
def test_a_killed_worker_is_replaced_and_the_bytes_are_those_of_one_process(
    dataset, checkpoint, labelled, tmp_path, run, cluster
):
    out = tmp_path / "out"
    arguments = [*asked(dataset, checkpoint, out), "--ray", cluster.address, "--workers", "2"]
    running = run(arguments, cluster)
    running.until(lambda: done(out))
    os.kill(running.until(running.labelling)[0], signal.SIGKILL)
    assert running.end() == 0, running.told()
    told = running.told()
    assert told.count("A worker ended while it labelled episode_") == 1, told
    assert {name: (out / name).read_bytes() for name in OUTPUTS} == labelled
    assert sorted(path.name for path in out.iterdir()) == sorted(OUTPUTS)
    # Only what the command says itself, and its bar.
    lines = [line for line in re.split(r"[\r\n]+", told) if line.strip()]
    ours = re.compile(r"label: |    |labelling |\S*--sample_weighting")
    assert [line for line in lines if not ours.match(line)] == []
    assert f"{EPISODES}/{EPISODES}" in told


@pytest.mark.slow
@pytest.mark.live
def test_ctrl_c_ends_all_and_the_same_command_goes_on_without_ray(
    dataset, checkpoint, labelled, tmp_path, run
):
    out = tmp_path / "out"
    arguments = asked(dataset, checkpoint, out)
    running = run([*arguments, "--ray", "local", "--workers", "2"])
    running.until(lambda: done(out))
    addresses = listening(below(running.process.pid))
    assert addresses and addresses <= LOOPBACK
    running.seen |= below(running.process.pid)
    os.killpg(running.process.pid, signal.SIGINT)  # as a terminal does: to all at once
    assert running.end() == 130, running.told()
    told = running.told()
    assert "what is labelled of many episodes is kept" in told and "Traceback" not in told
    assert not any((out / name).exists() for name in OUTPUTS)
    assert 0 < len(done(out)) < EPISODES
    assert main(arguments) == 0
    assert {name: (out / name).read_bytes() for name in OUTPUTS} == labelled


@pytest.mark.slow
@pytest.mark.live
def test_a_model_that_cannot_be_loaded_is_said_once_and_the_cluster_stays(
    dataset, tmp_path, run, cluster
):
    arguments = asked(dataset, str(tmp_path / "no_model"), tmp_path / "out")
    running = run([*arguments, "--ray", cluster.address, "--workers", "2"], cluster)
    assert running.end() == 1, running.told()
    told = running.told()
    assert told.count("cannot begin: ") == 1 and "no_model" in told and "Traceback" not in told
    assert cluster.process.poll() is None


def test_without_ray_one_sentence_names_the_extra(dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([*asked(dataset, "demo", tmp_path / "out"), "--ray", "local"]) == 1
    assert capsys.readouterr().err == (
        "label: --ray needs Ray, which is not installed: pip install 'topreward_ros[cluster]'.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--workers", "2"], "add --ray local"),
        (["--gpus-per-worker", "1"], "add --ray local"),
        (["--ray", "local", "--workers", "0"], "--workers is 0; expected 1 or more."),
        (["--ray", "local", "--gpus-per-worker", "nan"], "--gpus-per-worker is nan"),
    ],
)
def test_options_that_do_not_fit_are_said_before_anything_starts(
    dataset, tmp_path, capsys, arguments, sentence
):
    assert main([*asked(dataset, "demo", tmp_path / "out"), *arguments]) == 1
    assert sentence in capsys.readouterr().err


def test_a_cluster_that_is_not_there_is_one_sentence(dataset, tmp_path, capsys, ray_installed):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    assert main([*asked(dataset, "demo", tmp_path / "out"), "--ray", address]) == 1
    assert f"label: Ray cannot be reached at {address}: " in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_without_ray_imports_nothing_of_it(dataset, checkpoint, tmp_path):
    code = (
        "import sys\nfrom topreward_ros.offline.label import main\n"
        f"assert main({asked(dataset, checkpoint, tmp_path / 'out')!r}) == 0\n"
        "assert 'ray' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
