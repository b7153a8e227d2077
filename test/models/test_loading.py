"""What can be loaded is loaded as asked; what cannot gives one sentence that says why."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from checkpoints import qwen3_vl_config, tiny_tokenizer, write_qwen3_vl
from transformers import LlamaConfig, LlamaForCausalLM

from topreward_ros.method.prompt import PromptForm
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.contract import ModelError

SIZE = (32, 32)
FRAME = np.zeros((*SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_qwen3_vl(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def checkpoint(original, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(original, tmp_path / "copy")


def load(model, **options):
    return load_scorer(str(model), **{"frame_size": SIZE, "device": "cpu", **options})


def score(scorer, task="go"):
    session = scorer.start()
    session.append(FRAME, 0.0)
    return session.log_prob(task)


def refusal(model, **options):
    with pytest.raises(ModelError) as caught:
        load(model, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_a_score_is_a_log_probability(original):
    assert -100 < score(load(original)) < 0


def test_the_same_checkpoint_gives_the_same_score_and_fingerprint(original):
    one, two = load(original), load(original)
    assert score(one) == score(two)
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize("change", [{"prompt": "chat"}, {"frame_size": (32, 48)}])
def test_the_fingerprint_tells_prompts_and_frame_sizes_apart(original, change):
    assert load(original).fingerprint != load(original, **change).fingerprint


def test_the_fingerprint_tells_weights_apart(original, tmp_path):
    other = write_qwen3_vl(tmp_path, seed=1)
    assert load(original).fingerprint != load(other).fingerprint


def test_the_fingerprint_does_not_depend_on_where_and_how_it_is_loaded(original, checkpoint):
    assert load(original).fingerprint == load(checkpoint, dtype="float64").fingerprint


def test_the_dtype_is_the_one_asked_for(original):
    for name in ("float64", "float32", "bfloat16"):
        model = load(original, dtype=name).backbone.model
        assert {p.dtype for p in model.parameters()} == {getattr(torch, name)}


def test_a_bare_configuration_gets_random_weights_that_stay_the_same(original, tmp_path):
    tokenizer = tiny_tokenizer()
    qwen3_vl_config(tokenizer).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert score(load(f"random:{tmp_path}")) == score(load(f"random:{tmp_path}"))
    assert score(load(f"random:{tmp_path}")) != score(load(original))


def test_a_checkpoint_brings_its_threshold_rate_size_and_prompt(checkpoint):
    settings = {
        "success_threshold": -1.5,
        "sample_rate": 4.0,
        "motion_threshold": 6.0,
        "frame_size": [48, 32],
        "prompt_form": "raw_period",
    }
    (checkpoint / "topreward.json").write_text(json.dumps(settings))
    scorer = load(checkpoint, frame_size=None)
    assert (scorer.success_threshold, scorer.sample_rate) == (-1.5, 4.0)
    assert scorer.motion_threshold == 6.0
    assert scorer.frame_size == (48, 32)
    assert scorer.prompt_form is PromptForm.RAW_PERIOD


@pytest.mark.parametrize("change", [{"prompt": "chat"}, {"frame_size": (64, 64)}])
def test_a_threshold_does_not_outlive_its_prompt_or_frame_size(checkpoint, change):
    settings = {"success_threshold": -1.5, "frame_size": list(SIZE)}
    (checkpoint / "topreward.json").write_text(json.dumps(settings))
    assert load(checkpoint).success_threshold == -1.5
    assert load(checkpoint, **change).success_threshold is None


def test_a_hub_model_has_no_threshold_of_its_own(original):
    assert load(original).success_threshold is None


def test_an_empty_directory_is_refused(tmp_path):
    assert "holds no config.json" in refusal(tmp_path)


def test_a_place_that_does_not_exist_is_refused(tmp_path):
    assert "There is no model at" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("form", ["{}", "random:{}"])
def test_a_tilde_is_the_home_directory(checkpoint, monkeypatch, form):
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    there = load(form.format(checkpoint))
    assert load(form.format(f"~/{checkpoint.name}")).fingerprint == there.fingerprint


@pytest.mark.parametrize("place", ["~/nowhere", "~no_such_user/model", "random:~no_such_user/x"])
def test_a_tilde_that_leads_nowhere_is_refused(tmp_path, monkeypatch, place):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"There is no model at {place!r}" in refusal(place)


def test_a_path_that_no_file_can_have_is_refused():
    assert "cannot be opened" in refusal("/" + "x" * 1000)


def test_a_damaged_configuration_is_refused(checkpoint):
    (checkpoint / "config.json").write_text("{ damaged")
    assert "is not valid JSON" in refusal(checkpoint)


def test_damaged_weights_are_refused(checkpoint):
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    assert "are damaged" in refusal(checkpoint)


def test_missing_weights_are_refused(checkpoint):
    (checkpoint / "model.safetensors").unlink()
    assert "holds no weights" in refusal(checkpoint)


def test_pickled_weights_are_refused_without_being_opened(checkpoint):
    (checkpoint / "model.safetensors").unlink()
    (checkpoint / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    assert "a pickle can run code" in refusal(checkpoint)


def test_weights_that_lack_a_tensor_are_refused(checkpoint):
    from safetensors.torch import load_file, save_file

    path = checkpoint / "model.safetensors"
    tensors = load_file(path)
    tensors.pop("model.language_model.norm.weight")
    save_file(tensors, path, metadata={"format": "pt"})
    assert "lacks 1 tensors" in refusal(checkpoint)


def test_a_model_of_another_family_is_refused(tmp_path):
    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        vocab_size=32,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    assert "'llama'; supported are" in refusal(tmp_path)


def test_a_tokenizer_without_a_single_true_is_refused(checkpoint):
    path = checkpoint / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    kept = [merge for merge in tokenizer["model"]["merges"] if "".join(merge) != "ĠTrue"]
    tokenizer["model"]["merges"] = kept
    path.write_text(json.dumps(tokenizer))
    assert "exactly one is needed" in refusal(checkpoint)


def test_remote_code_is_not_run(checkpoint):
    path = checkpoint / "config.json"
    config = json.loads(path.read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config"}
    config["model_type"] = "evil"
    path.write_text(json.dumps(config))
    (checkpoint / "evil.py").write_text("raise SystemExit('remote code ran')")
    assert "'evil'; supported are" in refusal(checkpoint)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(original):
    assert "shows 0 CUDA devices" in refusal(original, device="cuda")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"dtype": "int3"}, "dtype is 'int3'"),
        ({"quantization": "int2"}, "quantization is 'int2'"),
        ({"attention": "magic"}, "attention is 'magic'"),
        ({"prompt": "poem"}, "prompt is 'poem'"),
        ({"max_pairs": 3}, "max_pairs is 3"),
        ({"max_pairs": 0}, "max_pairs is 0"),
        ({"max_pairs": 2**40}, "set max_pairs to"),
        ({"frame_size": (33, 32)}, "multiples of 16"),
    ],
)
def test_an_absurd_option_is_named(original, options, reason):
    assert reason in refusal(original, **options)


def test_settings_that_cannot_be_read_are_refused(checkpoint):
    (checkpoint / "topreward.json").write_text('{"prompt_form": "poem"}')
    assert "topreward.json cannot be read" in refusal(checkpoint)


def test_the_memory_that_is_proposed_fits(original, monkeypatch):
    from topreward_ros.models import scorer as scorer_module

    monkeypatch.setattr(scorer_module, "free_bytes", lambda device: 8 * 2**20)
    sentence = refusal(original, max_pairs=4096)
    proposed = int(sentence.split("set max_pairs to ")[1].split()[0])
    assert load(original, max_pairs=proposed).max_pairs == proposed
