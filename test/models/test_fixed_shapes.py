"""Updates in fixed shapes score as those that run as they come, and ask the host nothing."""

from __future__ import annotations

import copy
import dataclasses
import logging

import numpy as np
import pytest
import torch
from checkpoints import write_qwen3_vl
from family_checkpoints import SIZES, write_family
from test_families import prefixes as family_prefixes
from test_streaming import TASKS, TOLERANCE, load, prefixes, public

from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.families.qwen_patches import patchify
from topreward_ros.models.families.qwen_tower import PairTower
from topreward_ros.models.runtime.kv_cache import PreallocatedCache
from topreward_ros.models.streaming.fixed_step import FixedStep

TASK = TASKS[:1]


@pytest.fixture(scope="module", params=["dense", "moe"])
def checkpoint(request, tmp_path_factory):
    return write_qwen3_vl(tmp_path_factory.mktemp(request.param), moe=request.param == "moe")


def fixed(checkpoint, **options):
    return load(checkpoint, fixed_shapes=True, **options)


def updates_of(scorer):
    return scorer._memories[0].main.fixed


def steps_of(scorer):
    return sorted(updates_of(scorer)._steps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_every_prefix_equals_the_public_forward(checkpoint, dtype, attention):
    options = {"dtype": dtype, "attention": attention}
    scorer = fixed(checkpoint, **options)
    expected = prefixes(public(checkpoint, **options), 9, TASK)
    assert np.abs(prefixes(scorer, 9, TASK) - expected).max() <= TOLERANCE[dtype]
    assert steps_of(scorer) and not updates_of(scorer).refusal
    assert scorer.backbone._tower._run is not None


@pytest.mark.slow
def test_a_growing_video_takes_wider_steps_and_stays_exact(small):
    scorer = fixed(small, max_pairs=48)
    expected = prefixes(public(small, max_pairs=48), 90, TASK)
    assert np.abs(prefixes(scorer, 90, TASK) - expected).max() <= TOLERANCE["float32"]
    spans = [span for _, span in steps_of(scorer)]
    assert len(spans) > 1 and len({rows for rows, _ in steps_of(scorer)}) == 1


@pytest.mark.slow
def test_after_a_rehearsal_an_episode_needs_no_other_step_and_is_exact(small):
    scorer = fixed(small, max_pairs=48, rehearse=True)
    rehearsed = steps_of(scorer)
    expected = prefixes(public(small, max_pairs=48), 98, TASK)
    assert np.abs(prefixes(scorer, 98, TASK) - expected).max() <= TOLERANCE["float32"]
    assert steps_of(scorer) == rehearsed
    assert len({span for _, span in rehearsed}) > 1


def test_a_thinned_video_equals_a_pass_over_the_kept_pairs_from_scratch(small):
    scorer = fixed(small, max_pairs=6)
    expected = prefixes(public(small, max_pairs=6), 70, TASK)
    assert np.abs(prefixes(scorer, 70, TASK) - expected).max() <= TOLERANCE["float32"]
    assert steps_of(scorer)


def test_each_length_of_question_has_its_step_and_episodes_share_them(small):
    scorer = fixed(small)
    for task in ("go", "put " + "the red cube " * 12 + "on the disc", "go"):
        expected = prefixes(public(small), 5, [task], seed=3)
        actual = prefixes(scorer, 5, [task], seed=3)
        assert np.abs(actual - expected).max() <= TOLERANCE["float32"]
    assert len(steps_of(scorer)) == 2


def test_several_questions_and_merged_updates_run_as_they_come(small):
    scorer, seen = fixed(small), []
    expected = prefixes(public(small), 6)
    assert np.abs(prefixes(scorer, 6) - expected).max() <= TOLERANCE["float32"]
    assert not steps_of(scorer)
    session, yardstick = scorer.start(), public(small).start()
    images = np.random.default_rng(5).integers(0, 256, (9, *scorer.frame_size, 3), dtype=np.uint8)
    for number, image in enumerate(images):
        for each in (session, yardstick):
            each.append(image, float(number))
        if number in (0, 5, 6, 8):
            seen.append(session.log_prob("go") - yardstick.log_prob("go"))
    assert np.abs(seen).max() <= TOLERANCE["float32"]


def without_the_mask(monkeypatch):
    """Rows that fill the step up are seen."""
    monkeypatch.setattr(torch.Tensor, "masked_fill_", lambda self, *_: self)


def at_the_wrong_place(monkeypatch):
    """The cache is written one place too far."""
    score = FixedStep.score
    monkeypatch.setattr(FixedStep, "score", lambda self, c, s, held: score(self, c, s, held + 1))


def with_the_first_deepstack_only(monkeypatch):
    """What is added after later layers is left out."""
    step = FixedStep._step

    def forgetful(self):
        for features in self._deepstack[1:]:
            features.zero_()
        return step(self)

    monkeypatch.setattr(FixedStep, "_step", forgetful)


@pytest.mark.parametrize(
    "mistake", [without_the_mask, at_the_wrong_place, with_the_first_deepstack_only]
)
def test_a_step_that_is_wrong_is_refused_before_it_says_anything(
    small, monkeypatch, caplog, mistake
):
    expected = prefixes(public(small), 7, TASK)
    scorer = fixed(small)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        mistake(patch)
        actual = prefixes(scorer, 7, TASK)
    assert np.abs(actual - expected).max() <= TOLERANCE["float32"]
    assert "off by" in updates_of(scorer).refusal and not steps_of(scorer)
    assert "run without recorded CUDA graphs: a recorded update is off by" in caplog.text


def test_a_step_that_is_wrong_would_be_noticed(small, monkeypatch):
    """The same mistake after the check moves the score: the check is not idle."""
    scorer, expected = fixed(small), prefixes(public(small), 9, TASK)
    prefixes(scorer, 4, TASK)
    at_the_wrong_place(monkeypatch)
    assert np.abs(prefixes(scorer, 9, TASK) - expected).max() > 1e-3


@pytest.mark.parametrize("part", [FixedStep, PairTower])
def test_what_cannot_be_recorded_runs_as_it_comes_and_the_log_says_why(
    small, monkeypatch, caplog, part
):
    def fail(*_, **__):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(f"{part.__module__}.GraphedFunction", fail)
    expected = prefixes(public(small), 7, TASK)
    scorer = fixed(small)
    with caplog.at_level(logging.WARNING):
        actual = prefixes(scorer, 7, TASK)
    assert np.abs(actual - expected).max() <= TOLERANCE["float32"]
    assert "cannot be recorded (operation not permitted when stream is capturing)" in caplog.text
    assert caplog.text.count("cannot be recorded") == 1


@pytest.mark.parametrize("family", SIZES)
def test_a_family_runs_in_fixed_shapes_or_says_why_not(tmp_path, caplog, family):
    checkpoint = str(write_family(family, tmp_path))
    options = {"device": "cpu", "frame_size": SIZES[family]}
    expected = family_prefixes(load_scorer(checkpoint, **options), family, 7, TASK)
    with caplog.at_level(logging.WARNING):
        scorer = load_scorer(checkpoint, fixed_shapes=True, **options)
        actual = family_prefixes(scorer, family, 7, TASK)
    assert np.abs(actual - expected).max() <= 2 * TOLERANCE["float32"]
    able = family == "internvl"
    assert bool(steps_of(scorer)) == able
    assert ("run without recorded CUDA graphs" in caplog.text) != able


def moved_to_meta(scorer):
    """A copy of the model where every question to the host is an error, as in a recording."""
    backbone = copy.deepcopy(scorer.backbone)
    backbone.model.to("meta")
    cache = backbone.new_cache(512)
    for layer in cache.layers:
        states = torch.empty(1, 2, 1, 16, device="meta")
        layer.update(states, states)
    return backbone, cache


@torch.inference_mode()
def test_a_fixed_step_asks_the_host_nothing(small):
    backbone, cache = moved_to_meta(load(small))
    suffix = backbone.suffix("go")
    unit = dataclasses.replace(suffix, deepstack=(torch.zeros_like(suffix.embeds),) * 3)
    step = FixedStep(backbone, cache, [unit, suffix], (128, 256))
    score = step.score([unit, suffix], [0, 5], 1)
    assert score.shape == (1,)
    with pytest.raises(RuntimeError, match="meta"):
        float(score)  # what asks does raise here


@torch.inference_mode()
def test_a_fixed_tower_asks_the_host_nothing_but_one_that_runs_as_it_comes_does(small):
    scorer = load(small)
    backbone, _ = moved_to_meta(scorer)
    grid = backbone.grid
    patches = patchify(np.zeros((2, *scorer.frame_size, 3), np.uint8), grid)
    known = PairTower(scorer.backbone.model.model.visual, grid.thw)._known()
    tower = PairTower(backbone.model.model.visual, grid.thw.to("meta"))
    there = {name: tensor.to("meta") for name, tensor in known.items() if name != "cu_seqlens"}
    known = there | {"cu_seqlens": known["cu_seqlens"]}
    features, deepstack = tower._encode(patches.to("meta"), tower._thw, **known)
    assert features.is_meta and all(layer.is_meta for layer in deepstack)
    with pytest.raises((RuntimeError, NotImplementedError)):
        tower.encode(patches.to("meta"), 1)


def test_what_a_mask_hides_is_a_number_from_the_start():
    cache = PreallocatedCache(1, 64)
    states = torch.ones(1, 1, 3, 4)
    cache.layers[0].update(states, states)
    assert not cache.layers[0].keys[:, :, 3:].any()
