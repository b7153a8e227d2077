"""A checkpoint that is damaged in any of its files gives one sentence that says where."""

from __future__ import annotations

import json
import shutil

import pytest
from checkpoints import write_qwen3_vl

from topreward_ros.models.checkpoints.errors import reason_of
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.contract import ModelError

SIZE = (32, 32)
NESTED = "[" * 100_000


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


def change(path, section=None, **values):
    content = json.loads(path.read_text())
    (content[section] if section else content).update(values)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("section", "field", "value", "words"),
    [
        ("text_config", "hidden_size", "abc", "config.json cannot be used (Validation error for"),
        ("text_config", "hidden_size", "abc", "'hidden_size' expected int, got str"),
        ("text_config", "hidden_size", -4, "negative dimension -4"),
        ("text_config", "hidden_size", 80, "lm_head.weight for one, or has them in another shape"),
        ("text_config", "num_attention_heads", 0, "(integer division or modulo by zero)"),
        ("text_config", "num_hidden_layers", 0, "files cannot be used (list index out of range)"),
        ("text_config", "hidden_act", "nope", "KeyError('nope')"),
        ("vision_config", "num_heads", 0, "weights cannot be used (integer division"),
        (None, "text_config", [], "'text_config' with value []"),
        (None, "dtype", "nope", "no attribute 'nope'"),
        (None, "model_type", [], "is of family []; supported are"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(checkpoint, section, field, value, words):
    change(checkpoint / "config.json", section, **{field: value})
    sentence = refusal(checkpoint)
    assert words in sentence and str(checkpoint) in sentence
    assert "fetch" in sentence or "supported are" in sentence


def test_a_configuration_of_far_more_than_the_weights_hold_takes_no_memory(checkpoint):
    change(checkpoint / "config.json", "text_config", vocab_size=10**6)
    assert "config.json describes a model of 128," in refusal(checkpoint)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        pytest.param("config.json", NESTED, "config.json is not valid JSON", id="nested"),
        ("tokenizer_config.json", "[]", "tokenizer's files cannot be used ('list' object"),
        ("tokenizer.json", "{}", "tokenizer's files cannot be used (KeyError('added_tokens'))"),
        ("tokenizer.json", "{ damaged", "tokenizer's files cannot be used (Expecting property"),
        ("tokenizer.json", None, "slow tokenizer to a fast one); see whether"),
        ("generation_config.json", "[]", "weights cannot be used ('list' object"),
        ("model.safetensors.index.json", "[]", "weights cannot be used (list indices"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(checkpoint, file, text, words):
    if "index" in file:
        (checkpoint / "model.safetensors").rename(checkpoint / "model-00001-of-00001.safetensors")
    path = checkpoint / file
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(text)
    sentence = refusal(checkpoint)
    assert words in sentence and str(checkpoint) in sentence and "fetch" in sentence


def test_a_hub_that_cannot_be_reached_is_no_damage(monkeypatch):
    def away(*_, **__):
        raise OSError("The hub cannot be reached.\nSee whether there is a network.")

    monkeypatch.setattr("topreward_ros.models.checkpoints.configuration.cached_file", away)
    assert refusal("some/model") == (
        "some/model cannot be loaded: The hub cannot be reached. See whether there is a network."
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("One of: \n(1) this or\n(2) that.\n\n"), "One of: (1) this or (2) that"),
        (
            ValueError("No model 'x'\nIf it is private, log in."),
            "No model 'x'; If it is private, log in",
        ),
        (KeyError("name"), "KeyError('name')"),
        (TypeError(), "TypeError()"),
        pytest.param(ValueError("x" * 1000), "x" * 399 + "…", id="long"),
    ],
)
def test_a_reason_is_one_line_that_does_not_end_within_a_sentence(error, reason):
    assert reason_of(error) == reason


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_wish_to_stop_is_no_damage(original, monkeypatch, error):
    def stop(*_, **__):
        raise error

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", stop)
    with pytest.raises(error):
        load(original)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("success_threshold", "abc"),
        ("success_threshold", 5.0),
        ("success_threshold", True),
        ("success_threshold", float("-inf")),
        pytest.param("success_threshold", -(10**400), id="more than a float holds"),
        ("motion_threshold", -1.0),
        ("motion_threshold", "on"),
        ("sample_rate", 0),
        ("sample_rate", -2.0),
        ("sample_rate", float("nan")),
        ("sample_rate", 10**30),
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


@pytest.mark.parametrize(
    "text", ["[]", "{ damaged", "null", pytest.param(NESTED, id="nested"), "\xff"]
)
def test_settings_that_are_no_object_are_refused(checkpoint, text):
    (checkpoint / "topreward.json").write_bytes(text.encode("latin-1"))
    assert "topreward.json cannot be read: it " in refusal(checkpoint)


def test_settings_may_say_more_than_is_read_and_leave_out_the_rest(checkpoint):
    more = {"success_threshold": None, "frame_size": None, "note": "…", "success_window": 3}
    (checkpoint / "topreward.json").write_text(json.dumps(more))
    scorer = load(checkpoint)
    assert (scorer.success_threshold, scorer.sample_rate) == (None, 2.0)
