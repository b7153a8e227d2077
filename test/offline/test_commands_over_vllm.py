"""The commands with a model on a server: the same files as with the model here."""

from __future__ import annotations

import csv

import pytest

pytest.importorskip("pyarrow")

from checkpoints import write_qwen3_vl
from lerobot_sets import write_v30
from vllm_server import VllmServer

from topreward_ros.offline.label import main

NUMBERS = ("log_prob", "progress", "reward", "success_score")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(write_qwen3_vl(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_v30(
        tmp_path_factory.mktemp("sets") / "drawer", [["open the drawer"]] * 2, [24, 30]
    )


def labelled(dataset, model, path):
    arguments = [str(dataset), "--model", model, "--frame-size", "64", "64", "--no-motion-gate",
                 "--device", "cpu", "--output", str(path)]  # fmt: skip
    assert main(arguments) == 0
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_labels_of_a_served_model_are_those_of_a_local_one(dataset, checkpoint, tmp_path):
    here = labelled(dataset, checkpoint, tmp_path / "here.csv")
    server = VllmServer(checkpoint, frame_size=(64, 64))
    try:
        there = labelled(dataset, server.address, tmp_path / "there.csv")
    finally:
        server.stop()
    assert len(there) == len(here) > 10
    for ours, theirs in zip(here, there, strict=True):
        assert {**ours, **dict.fromkeys(NUMBERS)} == {**theirs, **dict.fromkeys(NUMBERS)}
        for name in NUMBERS:
            assert float(ours[name]) == pytest.approx(float(theirs[name]), abs=1e-4, nan_ok=True)


def test_a_server_that_is_not_there_is_one_sentence(dataset, checkpoint, tmp_path, capsys):
    arguments = [str(dataset), "--model", f"vllm+http://127.0.0.1:9#{checkpoint}", "--dtype",
                 "float16", "--output", str(tmp_path / "out.csv")]  # fmt: skip
    assert main(arguments) == 1
    assert "which has its own; set dtype there" in capsys.readouterr().err
