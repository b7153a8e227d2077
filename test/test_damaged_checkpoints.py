"""A checkpoint that is damaged in any of its files gives one sentence that says where."""

from __future__ import annotations

import json
import shutil

import pytest
from checkpoints import write_qwen3_vl

from topreward_ros.models.contract import ModelError
from topreward_ros.models.loading import load_scorer

SIZE = (32, 32)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_qwen3_vl(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def checkpoint(original, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(original, tmp_path / "copy")


def load(model):
    return load_scorer(str(model), device="cpu", frame_size=SIZE)


def refusal(model):
    with pytest.raises(ModelError) as caught:
        load(model)
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) < 700 and sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("success_threshold", "abc"),
        ("success_threshold", 5.0),
        ("success_threshold", True),
        ("success_threshold", float("-inf")),
        ("success_threshold", -(10**400)),
        ("sample_rate", 0),
        ("sample_rate", -2.0),
        ("sample_rate", float("nan")),
        ("sample_rate", 10**400),
        ("sample_rate", None),
        ("frame_size", [96]),
        ("frame_size", [96, 0]),
        ("frame_size", [96.5, 96]),
        ("frame_size", ["96", "96"]),
        ("frame_size", 96),
        ("frame_size", [10**9, 10**9]),
        ("prompt_form", []),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_file_and_field(checkpoint, field, value):
    (checkpoint / "topreward.json").write_text(json.dumps({field: value}))
    sentence = refusal(checkpoint)
    assert f"topreward.json cannot be read: {field} is {repr(value)[:20]}" in sentence
    assert "must be" in sentence and "correct the file" in sentence


@pytest.mark.parametrize("text", ["[]", "{ damaged", "null", "[" * 100_000, "\xff"])
def test_settings_that_are_no_object_are_refused(checkpoint, text):
    (checkpoint / "topreward.json").write_bytes(text.encode("latin-1"))
    assert "topreward.json cannot be read: it " in refusal(checkpoint)


def test_settings_may_say_more_than_is_read_and_leave_out_the_rest(checkpoint):
    more = {"success_threshold": None, "frame_size": None, "note": "…", "success_window": 3}
    (checkpoint / "topreward.json").write_text(json.dumps(more))
    scorer = load(checkpoint)
    assert (scorer.success_threshold, scorer.sample_rate) == (None, 2.0)
