"""Prompt, positions and patches are those of transformers' own processor and model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoints import qwen3_vl_config, tiny_tokenizer
from repository import DATA
from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration

from topreward_ros.method.prompt import Prompt, PromptForm
from topreward_ros.models.checkpoints.sources import DEMO_DIRECTORY
from topreward_ros.models.families.qwen3_vl_layout import Qwen3VLLayout, single_token
from topreward_ros.models.families.qwen_patches import PatchGrid, patchify

OFFICIAL = np.load(DATA / "qwen3_vl_official.npz")
AUTHORS = np.load(DATA / "authors_prompt.npz")
GRID = PatchGrid(32, 64, patch=16, merge=2)
FPS = 2.0
TASK = "put the red cube on the green disc"


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def pairs(frames):
    """Frames in pairs with their times, an odd last one doubled."""
    video, stamps = list(frames), [index / FPS for index in range(len(frames))]
    if len(video) % 2:
        video.append(video[-1])
        stamps.append(stamps[-1])
    return [
        (np.stack(video[i : i + 2]), (stamps[i] + stamps[i + 1]) / 2)
        for i in range(0, len(video), 2)
    ]


def spans(layout, count):
    times = [time for _, time in pairs(np.zeros(count))]
    return [layout.preamble(), *map(layout.pair, times), layout.suffix(TASK)]


@pytest.mark.parametrize("count", [4, 5])
def test_patches_are_bit_identical_to_the_official_processor(count):
    patches = [patchify(pair, GRID) for pair, _ in pairs(OFFICIAL[f"video_{count}"])]
    assert np.array_equal(torch.cat(patches).numpy(), OFFICIAL[f"patches_{count}"])
    assert np.array_equal(GRID.thw[0, 1:], OFFICIAL[f"grid_{count}"][0, 1:])


@pytest.mark.parametrize("count", [4, 5])
def test_the_spans_together_are_the_tokens_of_the_official_text(tokenizer, count):
    layout = Qwen3VLLayout(tokenizer, Prompt(), GRID)
    ids = torch.cat([span.ids for span in spans(layout, count)]).tolist()
    text = OFFICIAL[f"text_{count}"].item()
    assert ids == tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("count", [1, 2, 5, 8, 21])
def test_the_spans_together_are_the_ids_of_the_authors_code(count):
    tokenizer = AutoTokenizer.from_pretrained(DEMO_DIRECTORY)
    layout = Qwen3VLLayout(tokenizer, Prompt(), PatchGrid(96, 64, patch=8, merge=2))
    ids = torch.cat([span.ids for span in spans(layout, count)]).tolist()
    assert ids == AUTHORS[f"ids_{count}"].tolist()
    # The whole processor of transformers 5.10 and later has one pair of markers more.
    start = tokenizer.convert_tokens_to_ids("<|vision_start|>")
    assert ids.count(start) == (count + 1) // 2


@pytest.mark.parametrize("size", [(32, 64), (64, 32), (96, 96)])
def test_positions_are_those_of_the_models_rope_index(tokenizer, size):
    grid = PatchGrid(*size, patch=16, merge=2)
    layout = Qwen3VLLayout(tokenizer, Prompt(), grid)
    video = spans(layout, 5)
    start, positions = 0, []
    for span in video:
        positions.append(span.positions + start)
        start += span.advance
    model = Qwen3VLForConditionalGeneration(qwen3_vl_config(tokenizer)).model
    thw = grid.thw.clone()
    thw[0, 0] = 3
    expected, _ = model.get_rope_index(
        torch.cat([span.ids for span in video])[None],
        video_grid_thw=thw,
        mm_token_type_ids=2 * torch.cat([span.visual for span in video]).int()[None],
    )
    assert torch.equal(torch.cat(positions, dim=1), expected[:, 0])


@pytest.mark.parametrize(
    ("form", "ending", "answer"),
    [
        (PromptForm.RAW, f"task: {TASK} Decide", " True"),
        (PromptForm.RAW_PERIOD, f"task: {TASK}. Decide", " True"),
        (PromptForm.CHAT, "<|im_end|>\n<|im_start|>assistant\n", "True"),
    ],
)
def test_each_prompt_form_asks_and_answers_its_own_way(tokenizer, form, ending, answer):
    layout = Qwen3VLLayout(tokenizer, Prompt(form), GRID)
    assert ending in tokenizer.decode(layout.suffix(TASK).ids)
    assert tokenizer.decode([layout.answer_id]) == answer


def test_a_tokenizer_without_the_answer_as_one_token_is_refused():
    with pytest.raises(ValueError, match="exactly one is needed"):
        single_token(tiny_tokenizer(), " Truthful")


@pytest.mark.parametrize("size", [(33, 64), (16, 64), (0, 0)])
def test_a_frame_size_that_does_not_fit_is_refused_with_one_that_does(size):
    with pytest.raises(ValueError, match="multiples of 32, for example"):
        PatchGrid(*size, patch=16, merge=2)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 64, 32, 3), np.uint8),
        np.zeros((1, 32, 64, 3), np.uint8),
        np.zeros((2, 32, 64, 3), np.float32),
    ],
)
def test_frames_of_another_shape_or_type_make_no_patches(frames):
    with pytest.raises(ValueError, match="expected"):
        patchify(frames, GRID)
