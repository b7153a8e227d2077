"""A streaming score equals transformers' public forward over the whole video, on every prefix."""

from __future__ import annotations

import dataclasses
import gc
import json

import numpy as np
import pytest
import torch
from checkpoints import write_qwen3_vl

from benchmarks.models import MIDSIZE, write_config
from topreward_ros.method.prompt import MAX_INSTRUCTION_LENGTH, PromptForm, validate_instruction
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.runtime.kv_cache import PreallocatedCache
from topreward_ros.models.streaming.unit_store import store_bytes
from topreward_ros.models.streaming.video_memory import Track, VideoMemory, memory_bytes

SIZE = (32, 48)
TASKS = ["put the red cube on the disc", "open the drawer", "go"]
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


@pytest.fixture(scope="module", params=["dense", "dense_wide", "moe"])
def checkpoint(request, tmp_path_factory):
    kind = request.param
    directory = tmp_path_factory.mktemp(kind)
    return write_qwen3_vl(directory, wide=2 if kind == "dense_wide" else 1, moe=kind == "moe")


def episode(frames, seed=0, size=SIZE):
    """Noise frames, and stamps as irregular as a camera's."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (frames, *size, 3), dtype=np.uint8)
    stamps = 0.5 * np.arange(frames) + rng.uniform(0, 0.1, frames)
    return images, (stamps - stamps[0]).tolist()


def prefixes(scorer, frames, tasks=TASKS, seed=0, size=SIZE):
    """Scores of every prefix, one row each."""
    session = scorer.start()
    rows = []
    for frame, stamp in zip(*episode(frames, seed, size), strict=True):
        session.append(frame, stamp)
        rows.append(session.log_probs(tasks))
    return np.array(rows)


def load(checkpoint, **options):
    return load_scorer(str(checkpoint), device="cpu", frame_size=SIZE, **options)


def public(checkpoint, **options):
    """The yardstick: the public forward, from scratch each time."""
    return load(checkpoint, streaming=False, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_every_prefix_equals_the_public_forward(checkpoint, dtype, attention):
    options = {"dtype": dtype, "attention": attention}
    expected = prefixes(public(checkpoint, **options), 9)
    actual = prefixes(load(checkpoint, **options), 9)
    assert np.abs(actual - expected).max() <= TOLERANCE[dtype]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "size", "dtype"),
    [
        ("demo", (96, 96), "float32"),
        ("demo", (96, 96), "float64"),
        ("mid-size", (64, 96), "float32"),
    ],
)
def test_the_demo_and_a_model_of_a_hundred_million_weights_are_exact_too(
    tmp_path, model, size, dtype
):
    if model == "mid-size":
        write_config(MIDSIZE, tmp_path)
        model = f"random:{tmp_path}"
    options = {"device": "cpu", "dtype": dtype, "frame_size": size, "max_pairs": 8}
    frames = 5 if model == "demo" else 3  # half a pair, a pair, and half of the next
    expected = prefixes(load_scorer(model, streaming=False, **options), frames, size=size)
    scorer = load_scorer(model, fixed_shapes=True, **options)
    together = prefixes(scorer, frames, size=size)
    alone = prefixes(scorer, frames, TASKS[:1], size=size)
    assert np.abs(together - expected).max() <= TOLERANCE[dtype]
    assert np.abs(alone - expected[:, :1]).max() <= TOLERANCE[dtype]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_own_attention_equals_that_of_transformers(small, attention):
    yardstick = public(small, dtype="float32")
    yardstick.backbone.model.set_attn_implementation(attention)
    expected = prefixes(yardstick, 6)
    actual = prefixes(load(small, dtype="float32", attention=attention), 6)
    assert np.abs(actual - expected).max() <= TOLERANCE["float32"]


def test_a_tower_that_is_to_be_read_below_its_last_layer_is_exact_too(tmp_path):
    """Random weights of a shortened configuration have such a tower; transformers reads none."""
    checkpoint = write_qwen3_vl(tmp_path)
    config = json.loads((checkpoint / "config.json").read_text())
    config["vision_config"]["deepstack_visual_indexes"] = [0, 1, 7]
    (checkpoint / "config.json").write_text(json.dumps(config))
    expected, actual = prefixes(public(checkpoint), 6), prefixes(load(checkpoint), 6)
    assert np.abs(actual - expected).max() <= TOLERANCE["float32"]


def test_one_instruction_scores_the_same_alone_as_among_others(small):
    together = prefixes(load(small), 7)
    for column, task in enumerate(TASKS):
        alone = prefixes(load(small), 7, [task])[:, 0]
        assert np.abs(alone - together[:, column]).max() <= TOLERANCE["float32"]


@pytest.mark.slow
def test_more_questions_than_one_step_holds_are_split(small):
    tasks = [f"put the cube at place {number}" for number in range(40)]
    expected = prefixes(public(small), 3, tasks)
    assert np.abs(prefixes(load(small), 3, tasks) - expected).max() <= TOLERANCE["float32"]


def test_a_scorer_starts_each_episode_as_if_it_were_the_first(small):
    scorer = load(small)
    first = prefixes(scorer, 5, seed=1)
    prefixes(scorer, 8, seed=2)
    assert np.array_equal(prefixes(scorer, 5, seed=1), first)


def test_merged_updates_score_the_same_as_single_ones(small):
    expected = prefixes(load(small), 11)[-1]
    session = load(small).start()
    for frame, stamp in zip(*episode(11), strict=True):
        session.append(frame, stamp)
    assert np.abs(session.log_probs(TASKS) - expected).max() <= TOLERANCE["float32"]


def test_scoring_twice_without_a_new_frame_changes_nothing(small):
    session = load(small).start()
    for count, (frame, stamp) in enumerate(zip(*episode(6), strict=True)):
        session.append(frame, stamp)
        assert np.abs(session.log_probs(TASKS) - session.log_probs(TASKS)).max() <= 1e-6, count


@pytest.mark.parametrize("limit", [4, 6, 8])
@pytest.mark.slow
def test_a_thinned_video_equals_a_pass_over_the_kept_pairs_from_scratch(small, limit):
    expected = prefixes(public(small, max_pairs=limit), 50)
    actual = prefixes(load(small, max_pairs=limit), 50)
    assert np.abs(actual - expected).max() <= TOLERANCE["float32"]


def test_a_session_that_is_settled_scores_the_same_and_no_update_waits_for_the_shadow(
    small, monkeypatch
):
    scorer = load(small, max_pairs=6)
    expected = prefixes(scorer, 70, TASKS[:1])[:, 0]
    assert max(tokens_of_updates(scorer, 70, monkeypatch, settle=False)[1]) > most(scorer)
    scores, tokens = tokens_of_updates(scorer, 70, monkeypatch, settle=True)
    assert np.array_equal(scores, expected)
    assert max(tokens) <= most(scorer)


def most(scorer):
    """Tokens of an update that shows one unit, committed or provisional, and one question."""
    backbone = scorer.backbone
    return backbone.unit_tokens + len(backbone.suffix(TASKS[0]))


def tokens_of_updates(scorer, frames, monkeypatch, *, settle):
    """Scores every prefix; returns the scores, and the language model's tokens of each."""
    session, hidden, seen = scorer.start(), scorer.backbone.hidden, []

    def counted(chunks, *rest):
        seen.append(sum(map(len, chunks)))
        return hidden(chunks, *rest)

    scores, tokens = [], []
    with monkeypatch.context() as patched:
        patched.setattr(scorer.backbone, "hidden", counted)
        for frame, stamp in zip(*episode(frames), strict=True):
            session.append(frame, stamp)
            seen.clear()
            scores.append(session.log_prob(TASKS[0]))
            tokens.append(sum(seen))
            if settle:
                session.settle()
    return np.array(scores), tokens


@pytest.mark.slow
def test_more_than_a_thousand_pairs_stay_exact_and_take_no_more_memory(small):
    limit, frames = 8, 2401
    scorer = load(small, max_pairs=limit)
    session, yardstick = scorer.start(), public(small, max_pairs=limit).start()
    held = [layer.keys.data_ptr() for layer in scorer._memories[0].main._cache.layers]
    worst = 0.0
    for count, (frame, stamp) in enumerate(zip(*episode(frames), strict=True), start=1):
        session.append(frame, stamp)
        yardstick.append(frame, stamp)
        if count % 7 == 0 or count == frames:
            score = session.log_prob(TASKS[0])
        if count % 175 == 0 or count == frames:
            worst = max(worst, abs(score - yardstick.log_prob(TASKS[0])))
        assert len(session.kept_units) < limit
    assert worst <= TOLERANCE["float32"]
    assert [layer.keys.data_ptr() for layer in scorer._memories[0].main._cache.layers] == held


def test_memory_is_taken_at_configure_and_an_episode_takes_no_more(small):
    scorer = load(small, max_pairs=32)
    session, held = scorer.start(), []
    for count, (frame, stamp) in enumerate(zip(*episode(200), strict=True), start=1):
        session.append(frame, stamp)
        if count % 2 == 0:
            session.log_prob(TASKS[0])
            session.settle()
        if count in (4, 60, 200):
            held.append(tensor_bytes())
    # Beside the memory there is the newest pair, where thinning has not kept it.
    assert max(held) - min(held) < store_bytes(scorer.backbone, 2)


def test_configure_counts_the_memory_that_it_takes(small):
    backbone, before = load(small, max_pairs=4).backbone, tensor_bytes()
    memory = VideoMemory(backbone, 32)
    taken, counted = tensor_bytes() - before, memory_bytes(backbone, memory.max_units)
    assert 0.9 * counted < taken <= 1.01 * counted


def tensor_bytes():
    """Memory of all tensors that are alive."""
    gc.collect()
    tensors = [each for each in gc.get_objects() if type(each) is torch.Tensor]
    storages = [each.untyped_storage() for each in tensors]
    return sum({each.data_ptr(): each.nbytes() for each in storages}.values())


def test_merged_updates_thin_as_single_ones_do(small):
    single, merged = load(small, max_pairs=6).start(), load(small, max_pairs=6).start()
    for count, (frame, stamp) in enumerate(zip(*episode(61), strict=True)):
        single.append(frame, stamp)
        merged.append(frame, stamp)
        score = single.log_prob(TASKS[0])
        if count % 9 == 8:
            assert abs(merged.log_prob(TASKS[0]) - score) <= TOLERANCE["float32"]
    assert merged.kept_units == single.kept_units


def test_bfloat16_stays_within_a_quarter_nat_of_float32(small):
    expected = prefixes(public(small), 8)
    assert np.abs(prefixes(load(small, dtype="bfloat16"), 8) - expected).max() <= 0.25


def without_deepstack(backbone, monkeypatch):
    unit = backbone.unit

    def without(video_unit):
        chunk = unit(video_unit)
        nothing = tuple(torch.zeros_like(layer) for layer in chunk.deepstack)
        return dataclasses.replace(chunk, deepstack=nothing)

    monkeypatch.setattr(backbone, "unit", without)


def with_flat_positions(backbone, monkeypatch):
    unit = backbone.unit

    def flat(*args):
        chunk = unit(*args)
        line = torch.arange(len(chunk)).expand_as(chunk.positions)
        return dataclasses.replace(chunk, positions=line, advance=len(chunk))

    monkeypatch.setattr(backbone, "unit", flat)


def with_guessed_stamps(backbone, monkeypatch):
    unit = backbone.unit

    def guessed(video_unit):
        stamps = tuple(stamp * 1.5 + 1 for stamp in video_unit.stamps)
        return unit(dataclasses.replace(video_unit, stamps=stamps))

    monkeypatch.setattr(backbone, "unit", guessed)


def with_a_stale_provisional_pair(backbone, monkeypatch):
    score = Track.score
    monkeypatch.setattr(Track, "score", lambda self, c, p, s: score(self, [*c, *p], [], s))


def with_the_suffix_kept(backbone, monkeypatch):
    monkeypatch.setattr(PreallocatedCache, "rewind", lambda self, mark: None)


@pytest.mark.parametrize(
    "mistake",
    [
        without_deepstack,
        with_flat_positions,
        with_guessed_stamps,
        with_a_stale_provisional_pair,
        with_the_suffix_kept,
    ],
)
def test_each_known_mistake_is_noticed(small, monkeypatch, mistake):
    expected = prefixes(public(small), 7)
    scorer = load(small)
    mistake(scorer.backbone, monkeypatch)
    assert np.abs(prefixes(scorer, 7) - expected).max() > 1e-3


@pytest.mark.parametrize(
    ("frame", "stamp", "reason"),
    [
        (np.zeros((*SIZE, 3), np.float32), 1.0, "uint8"),
        (np.zeros((32, 32, 3), np.uint8), 1.0, "shape"),
        (np.zeros((*SIZE, 3), np.uint8), 0.0, "must grow"),
        (np.zeros((*SIZE, 3), np.uint8), float("nan"), "must grow"),
    ],
)
def test_a_frame_that_does_not_belong_is_refused_and_the_episode_goes_on(
    small, frame, stamp, reason
):
    session = load(small).start()
    images, stamps = episode(2)
    session.append(images[0], stamps[0])
    before = session.log_prob(TASKS[0])
    with pytest.raises(ValueError, match=reason):
        session.append(frame, stamp)
    assert session.frames == 1
    assert session.log_prob(TASKS[0]) == pytest.approx(before, abs=1e-6)


def test_nothing_is_scored_before_the_first_frame(small):
    with pytest.raises(ValueError, match="append one first"):
        load(small).start().log_prob(TASKS[0])


@pytest.mark.parametrize("letter", ["x", "7", "é", "中", "🤖", "\U0001d538"])
@pytest.mark.slow
def test_the_longest_instruction_that_is_let_in_fits_in_every_form(small, letter):
    text = letter * (MAX_INSTRUCTION_LENGTH // len(letter.encode()))
    assert validate_instruction(text) == text
    for form in PromptForm:
        session = load(small, prompt=form.value).start()
        session.append(*next(zip(*episode(1), strict=True)))
        assert session.log_prob(text) < 0.0


def test_an_instruction_of_too_many_tokens_is_refused(small):
    session = load(small).start()
    session.append(*next(zip(*episode(1), strict=True)))
    with pytest.raises(ValueError, match="one sentence"):
        session.log_prob("\u4e2d" * 1000)
