"""The client against what a real vLLM server said (recorded by test_vllm_real.py), over HTTP."""

from __future__ import annotations

import json

import numpy as np
import pytest
from vllm_exchange import FILE, FRAMES, KEPT, TASKS, Player, frames, same_each_time, scores

from topreward_ros.models.checkpoints.loading import load_scorer


def local() -> np.ndarray:
    session = load_scorer("demo", device="cpu", max_pairs=KEPT).start()
    told = []
    for index, frame in enumerate(frames()):
        session.append(frame, index / 2)
        told.append(session.log_probs(TASKS))
    return np.array(told)


def test_the_client_asks_as_it_did_and_the_answers_are_a_local_models_numbers(monkeypatch):
    same_each_time(monkeypatch)
    player = Player()
    try:
        told = scores(player.address)
    finally:
        player.close()
    assert not player.unlike, "the requests are others by now: record anew (test_vllm_real.py)"
    assert player.left == 0
    assert np.array_equal(told, player.scores)
    assert np.abs(told - local()).max() <= 1e-5
    assert told.shape == (FRAMES, 2) and len(set(told.ravel())) == told.size


def test_the_recorded_exchange_has_a_lost_cache_in_it():
    kept = json.loads(FILE.read_text())["exchanges"]
    missed = [one for one in kept if one["status"] == 400]
    assert missed and all("Cache miss" in one["answer"] for one in missed)
    assert any('"cached_tokens":0' not in one["answer"] for one in kept[2:])


def test_a_request_that_differs_is_noticed(monkeypatch):
    """The negative control: without fixed names each request is another one."""
    player = Player()
    try:
        with pytest.raises(Exception, match="another question"):
            scores(player.address)
    finally:
        player.close()
    assert player.unlike
