"""Every family scores as transformers' public forward does, on every prefix."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from family_checkpoints import SIZES, widen_delta_rule, write_family
from test_streaming import TASKS, TOLERANCE
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
from transformers.models.internvl.processing_internvl import InternVLProcessor
from transformers.models.molmo2.processing_molmo2 import Molmo2Processor
from transformers.models.molmo2.video_processing_molmo2 import (
    arange_for_pooling,
    batch_pixels_to_patches,
)

from topreward_ros.models.checkpoints.loading import load_scorer, score_prefixes
from topreward_ros.models.contract import ModelError
from topreward_ros.models.families.flat_backbone import FlatBackbone
from topreward_ros.models.families.internvl import InternVL
from topreward_ros.models.families.molmo2 import Molmo2, pooling_windows
from topreward_ros.models.families.registry import FAMILIES
from topreward_ros.models.runtime.kv_cache import PreallocatedCache
from topreward_ros.models.runtime.snapshot_cache import SnapshotCache


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return {name: write_family(name, tmp_path_factory.mktemp(name)) for name in SIZES}


@pytest.fixture(params=list(SIZES))
def family(request):
    return request.param


@pytest.fixture
def load(checkpoints):
    def loaded(family, **options):
        options = {"device": "cpu", "frame_size": SIZES[family], **options}
        return load_scorer(str(checkpoints[family]), **options)

    return loaded


@pytest.fixture
def exact_delta_rule(monkeypatch):
    widen_delta_rule(monkeypatch)


def episode(family, frames):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (frames, *SIZES[family], 3), dtype=np.uint8)
    stamps = 0.5 * np.arange(frames) + rng.uniform(0, 0.1, frames)
    return images, (stamps - stamps[0]).tolist()


def prefixes(scorer, family, frames, tasks=TASKS):
    """Scores of every prefix, one row each."""
    session = scorer.start()
    rows = []
    for frame, stamp in zip(*episode(family, frames), strict=True):
        session.append(frame, stamp)
        rows.append(session.log_probs(tasks))
    return np.array(rows)


def test_every_family_but_the_first_has_a_row_here():
    assert {*SIZES, "qwen3_vl", "qwen3_vl_moe"} == set(FAMILIES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("exact_delta_rule")
def test_every_prefix_equals_the_public_forward(load, family, dtype):
    expected = prefixes(load(family, dtype=dtype, streaming=False), family, 7)
    actual = prefixes(load(family, dtype=dtype), family, 7)
    assert np.abs(actual - expected).max() <= TOLERANCE[dtype]


@pytest.mark.usefixtures("exact_delta_rule")
@pytest.mark.slow
def test_random_weights_of_a_configuration_have_the_public_forward_too(checkpoints, family):
    options = {"device": "cpu", "frame_size": SIZES[family], "dtype": "float64"}
    name = f"random:{checkpoints[family]}"
    expected = prefixes(load_scorer(name, streaming=False, **options), family, 3)
    actual = prefixes(load_scorer(name, **options), family, 3)
    assert np.abs(actual - expected).max() <= TOLERANCE["float64"]


@pytest.mark.parametrize("family", ["qwen3_5", "qwen3_5_moe"])
def test_linear_attention_as_transformers_has_it_equals_the_public_forward(load, family):
    expected = prefixes(load(family, streaming=False), family, 7)
    assert np.abs(prefixes(load(family), family, 7) - expected).max() <= TOLERANCE["float32"]


@pytest.mark.usefixtures("exact_delta_rule")
@pytest.mark.slow
def test_a_thinned_video_equals_a_pass_over_the_kept_units_from_scratch(load, family):
    options = {"dtype": "float64", "max_pairs": 4}
    expected = prefixes(load(family, streaming=False, **options), family, 21)
    actual = prefixes(load(family, **options), family, 21)
    assert np.abs(actual - expected).max() <= TOLERANCE["float64"]


def test_eager_attention_equals_the_public_forward(load, family):
    expected = prefixes(load(family, attention="eager", streaming=False), family, 3)
    actual = prefixes(load(family, attention="eager"), family, 3)
    assert np.abs(actual - expected).max() <= TOLERANCE["float32"]


def test_one_instruction_scores_the_same_alone_as_among_others(load, family):
    scorer = load(family)
    together = prefixes(scorer, family, 5)
    alone = prefixes(scorer, family, 5, TASKS[1:2])[:, 0]
    assert np.abs(alone - together[:, 1]).max() <= TOLERANCE["float32"]


@pytest.mark.slow
def test_merged_updates_score_the_same_as_single_ones_and_again(load, family):
    scorer = load(family, max_pairs=4)
    expected = prefixes(scorer, family, 15)[-1]
    session = scorer.start()
    for frame, stamp in zip(*episode(family, 15), strict=True):
        session.append(frame, stamp)
    assert np.abs(session.log_probs(TASKS) - expected).max() <= TOLERANCE["float32"]
    assert np.abs(session.log_probs(TASKS) - expected).max() <= TOLERANCE["float32"]


def test_all_prefixes_of_a_recording_equal_the_session(load, family):
    scorer = load(family)
    expected = prefixes(scorer, family, 6, TASKS[:1])[:, 0]
    actual = score_prefixes(scorer, *episode(family, 6), TASKS[0], [6, 1, 4, 3])
    assert np.abs(actual - expected[[5, 0, 3, 2]]).max() <= TOLERANCE["float32"]


def states_left_behind(monkeypatch):
    rewind = SnapshotCache.rewind
    monkeypatch.setattr(
        SnapshotCache,
        "rewind",
        lambda self, mark: rewind(self, dataclasses.replace(mark, states=self.mark().states)),
    )


def states_not_taken_over(monkeypatch):
    copy = SnapshotCache.copy_from

    def copied(self, other):
        states = self.mark().states
        copy(self, other)
        self.rewind(dataclasses.replace(self.mark(), states=states))

    monkeypatch.setattr(SnapshotCache, "copy_from", copied)


def keys_and_values_kept(monkeypatch):
    appendable = dataclasses.replace(Molmo2.capabilities, kv_append=True)
    monkeypatch.setattr(Molmo2, "capabilities", appendable)


def frames_blind_to_later_ones(monkeypatch):
    monkeypatch.setattr(Molmo2, "hidden", FlatBackbone.hidden)


def pixels_without_normalization(monkeypatch):
    raw = torch.zeros(3), torch.full((3,), 1 / 255)
    for name, values in zip(("MEAN", "DEVIATION"), raw, strict=True):
        monkeypatch.setattr(f"topreward_ros.models.families.internvl.{name}", values.tolist())


def frames_without_numbers(monkeypatch):
    for family in (InternVL, Molmo2):
        text = family.frame_text
        monkeypatch.setattr(family, "frame_text", lambda self, n, s, text=text: text(self, 0, 0.0))


def one_token_of_the_question_kept(monkeypatch):
    rewind = PreallocatedCache.rewind
    monkeypatch.setattr(
        PreallocatedCache,
        "rewind",
        lambda self, mark: rewind(self, min(mark + 1, self.length)),
    )


@pytest.mark.parametrize(
    ("family", "mistake"),
    [
        ("qwen3_5", states_left_behind),
        ("qwen3_5", states_not_taken_over),
        ("internvl", pixels_without_normalization),
        ("internvl", frames_without_numbers),
        ("internvl", one_token_of_the_question_kept),
        ("molmo2", keys_and_values_kept),
        ("molmo2", frames_blind_to_later_ones),
        ("molmo2", frames_without_numbers),
    ],
)
def test_each_known_mistake_is_noticed(load, monkeypatch, family, mistake):
    # Odd, and thinned. The yardstick is computed first: a mistake may reach it too.
    expected = prefixes(load(family, streaming=False, max_pairs=4), family, 13, TASKS[:1])
    mistake(monkeypatch)
    actual = prefixes(load(family, max_pairs=4), family, 13, TASKS[:1])
    assert np.abs(actual - expected).max() > 10 * TOLERANCE["float32"]


def test_internvl_writes_a_video_as_its_processor_does(load):
    backbone = load("internvl").backbone
    processor = SimpleNamespace(
        start_image_token="<img>",
        end_image_token="</img>",
        image_token="<IMG_CONTEXT>",
        image_seq_length=backbone.frame_tokens,
    )
    video = {"pixel_values_videos": [np.zeros((12, 3, 32, 32))]}
    expected = InternVLProcessor.replace_video_token(processor, video, 0)
    assert "".join(backbone.frame_text(n, 0.5 * n) for n in range(12)) == expected


def test_molmo2_writes_a_video_as_its_processor_does(load):
    backbone = load("molmo2").backbone
    processor = SimpleNamespace(use_frame_special_tokens=True, video_use_col_tokens=False)
    stamps = [0.0, 0.5, 1.04, 12.25]
    grid = torch.tensor([len(stamps), 2, 2])
    expected = Molmo2Processor.get_video_string(processor, grid, stamps)
    assert "".join(backbone.frame_text(n, s) for n, s in enumerate(stamps)) == expected


@pytest.mark.parametrize("grid", [(27, 27), (5, 5), (6, 4), (3, 8)])
def test_molmo2_pools_patches_as_its_processor_does(grid):
    rows, columns = grid
    expected, *_ = arange_for_pooling(torch.arange(rows * columns).view(grid), 3, 3)
    assert torch.equal(pooling_windows(rows, columns), expected)


def test_molmo2_cuts_a_frame_as_its_processor_does(load):
    backbone = load("molmo2").backbone
    images, _ = episode("molmo2", 2)
    video = [SimpleNamespace(frames=image[None]) for image in images]
    normal = (torch.from_numpy(images) / 255 - 0.5) / 0.5
    expected = batch_pixels_to_patches(normal, 8)
    assert (backbone._pixels(video)["pixel_values_videos"] - expected).abs().max() <= 1e-6


def test_qwen3_5_takes_the_processor_whose_layout_it_shares():
    assert PROCESSOR_MAPPING_NAMES["qwen3_5"] == PROCESSOR_MAPPING_NAMES["qwen3_vl"]


def test_a_prompt_is_the_chat_text_cut_before_the_end_of_the_users_turn(load, family):
    backbone = load(family).backbone
    suffix = backbone.prompt.after_video("go")
    if isinstance(backbone, FlatBackbone):
        before, suffix = backbone.before_video(), backbone.after_video("go")
        assert before == {"internvl": "<|im_start|>user\n", "molmo2": "<|im_end|>"}[family]
        assert suffix.startswith({"internvl": "\n", "molmo2": "<|im_start|>user\n"}[family] + "The")
    assert suffix.endswith("The answer is:")


def test_the_chat_form_of_a_thinking_model_leaves_the_thought_empty(load):
    text = load("qwen3_5", prompt="chat").backbone.prompt.after_video("go")
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")


@pytest.mark.parametrize("family", ["internvl", "molmo2"])
def test_a_vision_tower_of_fixed_size_takes_no_other(load, family):
    with pytest.raises(ModelError, match="set frame_size to that"):
        load(family, frame_size=(64, 64))


def test_internvl_frames_take_their_own_numbers_after_thinning(load, monkeypatch):
    numbers = []
    text = InternVL.frame_text
    scorer = load("internvl", max_pairs=4, streaming=False)
    monkeypatch.setattr(
        InternVL, "frame_text", lambda self, n, s: numbers.append(n) or text(self, n, s)
    )
    session = scorer.start()
    for frame, stamp in zip(*episode("internvl", 9), strict=True):
        session.append(frame, stamp)
    session.log_prob(TASKS[0])
    assert numbers[0] == 0 and numbers[-1] == 8 and len(numbers) < 9
