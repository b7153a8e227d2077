"""Several episodes on one loaded model: each as if it were alone, and none silently another's."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from checkpoints import write_qwen3_vl
from family_checkpoints import MODELS, SIZES, write_family

from topreward_ros.models import scorer as local
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.contract import ModelError, SessionReplaced

TASKS = ("open the drawer", "close it")
FRAMES = 24
"""More than are kept, so that thinning and its shadow take part."""
KEPT = 8


def video(scorer, seed: int):
    shape = (FRAMES, *scorer.frame_size, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def shown(session, frames, index: int) -> np.ndarray:
    session.append(frames[index], index / 2)
    scores = session.log_probs(TASKS)
    if index % 3:
        session.settle()
    return scores


@pytest.fixture(scope="module", params=["qwen3_vl", *MODELS])
def given(request, tmp_path_factory):
    """What `load_scorer` needs for the checkpoint of a family."""
    folder, family = tmp_path_factory.mktemp("family"), request.param
    own = family not in MODELS
    model = write_qwen3_vl(folder) if own else write_family(family, folder)
    size = {} if own else {"frame_size": SIZES[family]}
    return {"model": str(model), "device": "cpu", "max_pairs": KEPT, **size}


@pytest.mark.slow
def test_interleaved_sessions_score_what_each_scores_alone(given):
    scorer = load_scorer(**given, sessions=3)
    videos = [video(scorer, seed) for seed in range(3)]
    alone = []
    for frames in videos:
        session = scorer.start()
        alone.append([shown(session, frames, index) for index in range(FRAMES)])
        del session
    sessions = [scorer.start() for _ in videos]
    together = [[], [], []]
    for index in range(FRAMES):
        for turn in np.random.default_rng(index).permutation(3):
            together[turn].append(shown(sessions[turn], videos[turn], index))
    assert np.abs(np.array(together) - np.array(alone)).max() == 0.0


def test_a_session_that_was_replaced_refuses_with_one_sentence(given):
    scorer = load_scorer(**given)
    frames = video(scorer, 0)
    first = scorer.start()
    shown(first, frames, 0)
    second = scorer.start()
    expected = shown(second, frames, 0)
    for act in (
        lambda: first.log_prob(TASKS[0]),
        lambda: first.log_probs(TASKS),
        lambda: (first.append(frames[1], 0.5), first.log_prob(TASKS[0])),
    ):
        with pytest.raises(SessionReplaced, match="was replaced"):
            act()
    assert np.abs(second.log_probs(TASKS) - expected).max() == 0.0  # nothing of it was touched


def test_the_one_that_began_first_is_replaced_and_none_while_one_is_gone(small):
    scorer = load_scorer(small, device="cpu", max_pairs=KEPT, sessions=2)
    frames = video(scorer, 1)
    first, second = scorer.start(), scorer.start()
    third = scorer.start()
    with pytest.raises(SessionReplaced):
        first.append(frames[0], 0.0)
    shown(second, frames, 0)
    del third
    gc.collect()
    fourth = scorer.start()
    shown(fourth, frames, 0)
    shown(second, frames, 1)  # the memory of the third was free


def test_more_sessions_than_memory_holds_are_refused_with_a_number_that_fits(small, monkeypatch):
    room = local.memory_bytes(load_scorer(small, device="cpu").backbone, KEPT) * 5
    monkeypatch.setattr(local, "free_bytes", lambda _: room)
    load_scorer(small, device="cpu", max_pairs=KEPT, sessions=5)
    with pytest.raises(ModelError, match=r"^8 sessions take .* 5 fit"):
        load_scorer(small, device="cpu", max_pairs=KEPT, sessions=8)
    with pytest.raises((ModelError, ValueError), match="sessions is 0"):
        load_scorer(small, device="cpu", sessions=0)
