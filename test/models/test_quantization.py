"""Quantized models stream what they recompute, and keep the right modules in full precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from checkpoints import write_qwen3_vl
from family_checkpoints import SIZES, widen_delta_rule, write_family
from test_families import prefixes as family_prefixes
from test_streaming import SIZE, TASKS, episode, prefixes
from transformers import BitsAndBytesConfig, Qwen3VLForConditionalGeneration

from topreward_ros.models.checkpoints import loading
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.contract import ModelError

LINEAR = {"int8": Linear8bitLt, "nf4": Linear4bit}
TOLERANCE = 5e-3
"""Nats, of these small models in float32. A last digit that differs turns, at an edge of int8's
rounding, into a step of the activation; the more there are, the more do. The larger model below has
3.5e-3 nat, one of 145 million weights 5.0e-3 (bfloat16: 0.049), less than int8 itself costs."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(write_qwen3_vl(tmp_path_factory.mktemp("quantized")))


@pytest.fixture(scope="module", params=list(LINEAR))
def quantization(request):
    return request.param


@pytest.fixture(scope="module")
def scorers(checkpoint, quantization):
    options = {"device": "cpu", "frame_size": SIZE, "quantization": quantization}
    streaming = load_scorer(checkpoint, **options)
    return streaming, load_scorer(checkpoint, streaming=False, **options)


def kinds(module):
    """Types of the linear layers within a module."""
    return {type(part) for part in module.modules() if isinstance(part, torch.nn.Linear)}


def test_the_language_model_is_quantized_and_nothing_else(scorers, quantization):
    model = scorers[0].backbone.model
    assert kinds(model.model.language_model) == {LINEAR[quantization]}
    assert kinds(model.model.visual) == {torch.nn.Linear}
    assert type(model.lm_head) is torch.nn.Linear
    assert model.lm_head.weight.is_floating_point()


@pytest.mark.parametrize("family", list(SIZES))
@pytest.mark.slow
def test_every_family_keeps_its_vision_tower_and_streams_what_it_recomputes(
    family, tmp_path_factory, quantization, monkeypatch
):
    # int8 rounds activations, and turns a last digit into a visible step now and then.
    widen_delta_rule(monkeypatch)
    directory = str(write_family(family, tmp_path_factory.mktemp(family)))
    options = {"device": "cpu", "frame_size": SIZES[family], "quantization": quantization}
    scorer = load_scorer(directory, **options)
    parts = dict(scorer.backbone.model.model.named_children())
    assert LINEAR[quantization] in kinds(parts.pop("language_model"))
    assert parts and all(kinds(part) <= {torch.nn.Linear} for part in parts.values())
    assert type(scorer.backbone.model.lm_head) is torch.nn.Linear
    expected = family_prefixes(load_scorer(directory, streaming=False, **options), family, 3)
    actual = family_prefixes(scorer, family, 3)
    assert np.abs(actual - expected).max() <= TOLERANCE


def test_the_number_format_that_is_asked_for_is_kept_on_every_cpu(checkpoint):
    options = {"device": "cpu", "frame_size": SIZE, "quantization": "nf4", "dtype": "float32"}
    layers = load_scorer(checkpoint, **options).backbone.model.modules()
    fast = [layer.support_avx512bf16_for_cpu for layer in layers if isinstance(layer, Linear4bit)]
    assert fast and not any(fast)


def test_streaming_stays_within_the_tolerance_of_recomputing(scorers):
    streaming, recomputing = scorers
    expected, actual = prefixes(recomputing, 7), prefixes(streaming, 7)
    assert np.abs(actual - expected).max() <= TOLERANCE


def test_quantized_weights_are_not_the_full_ones(checkpoint, scorers):
    full = prefixes(load_scorer(checkpoint, device="cpu", frame_size=SIZE), 2)
    assert np.abs(prefixes(scorers[0], 2) - full).max() > 1e-3


def test_outlier_columns_would_break_streaming(checkpoint, monkeypatch):
    def with_outliers(quantization, dtype, kept):
        return BitsAndBytesConfig(
            load_in_8bit=True, llm_int8_threshold=2.0, llm_int8_skip_modules=list(kept)
        )

    monkeypatch.setattr(loading, "quantization_config", with_outliers)
    monkeypatch.setattr(loading, "keep_streaming", lambda model, dtype: None)
    options = {"device": "cpu", "frame_size": SIZE, "quantization": "int8"}
    expected = prefixes(load_scorer(checkpoint, streaming=False, **options), 7)
    actual = prefixes(load_scorer(checkpoint, **options), 7)
    assert np.abs(actual - expected).max() > TOLERANCE


def test_a_quantized_score_is_a_log_probability(scorers):
    session = scorers[0].start()
    session.append(*next(zip(*episode(1), strict=True)))
    assert session.log_prob(TASKS[0]) < 0


def test_a_row_of_an_int8_product_does_not_depend_on_the_rows_beside_it():
    torch.manual_seed(0)
    plain = torch.nn.Linear(64, 32)
    layer = Linear8bitLt(64, 32, has_fp16_weights=False, threshold=0.0)
    layer.load_state_dict(plain.state_dict())
    layer = layer.to("cpu").eval()
    rows = torch.randn(40, 64) * torch.logspace(-3, 3, 40)[:, None]
    together = layer(rows)
    assert torch.equal(together, torch.cat([layer(row[None]) for row in rows]))


@pytest.mark.parametrize("moe", [False, True])
@pytest.mark.slow
def test_int8_streams_exactly_where_the_last_digits_agree(tmp_path, moe):
    options = {"device": "cpu", "frame_size": SIZE, "quantization": "int8", "dtype": "float64"}
    directory = str(write_qwen3_vl(tmp_path, wide=4, moe=moe))
    expected = prefixes(load_scorer(directory, streaming=False, **options), 7)
    assert np.abs(prefixes(load_scorer(directory, **options), 7) - expected).max() <= 1e-10


@pytest.mark.slow
def test_what_a_last_digit_costs_int8_is_less_than_int8_itself(tmp_path):
    options = {"device": "cpu", "frame_size": SIZE}
    directory = str(write_qwen3_vl(tmp_path, wide=16))  # 70 million weights
    full = prefixes(load_scorer(directory, **options), 4)
    options["quantization"] = "int8"
    expected = prefixes(load_scorer(directory, streaming=False, **options), 4)
    actual = prefixes(load_scorer(directory, **options), 4)
    rounding = np.abs(expected - full).max()
    assert 1e-5 < np.abs(actual - expected).max() < rounding
    exact = prefixes(load_scorer(directory, dtype="float64", **options), 4)
    twice = prefixes(load_scorer(directory, dtype="float64", streaming=False, **options), 4)
    assert np.abs(exact - twice).max() <= 1e-10


def test_int8_logs_nothing_per_layer(scorers, quantization, caplog):
    prefixes(scorers[0], 2)
    assert not [record for record in caplog.records if record.name.startswith("bitsandbytes")]


@pytest.fixture(scope="module")
def stored(checkpoint, tmp_path_factory, quantization):
    """A checkpoint that holds quantized weights, as bitsandbytes' defaults make it."""
    directory = tmp_path_factory.mktemp("stored")
    form = {"int8": {"load_in_8bit": True}, "nf4": {"load_in_4bit": True}}[quantization]
    form |= {"bnb_4bit_quant_type": "nf4", "llm_int8_threshold": 6.0}
    form["llm_int8_skip_modules"] = ["model.visual", "lm_head"]
    config = BitsAndBytesConfig(**form)
    model = Qwen3VLForConditionalGeneration.from_pretrained(
        checkpoint, quantization_config=config, device_map={"": "cpu"}
    )
    model.save_pretrained(directory)
    load_scorer(checkpoint, device="cpu", frame_size=SIZE).backbone.tokenizer.save_pretrained(
        directory
    )
    return str(directory)


def test_weights_that_are_quantized_already_are_not_taken_for_others(stored, quantization):
    other = {"int8": "nf4", "nf4": "int8"}[quantization]
    with pytest.raises(ModelError) as caught:
        load_scorer(stored, device="cpu", frame_size=SIZE, quantization=other)
    sentence = str(caught.value)
    assert f"quantization is {other}" in sentence and f"are {quantization} already" in sentence
    assert "set quantization to none" in sentence and "\n" not in sentence


@pytest.mark.parametrize("asked", ["none", "own"])
@pytest.mark.slow
def test_weights_that_are_quantized_already_stream_what_they_recompute(stored, quantization, asked):
    form = quantization if asked == "own" else "none"
    options = {"device": "cpu", "frame_size": SIZE, "quantization": form}
    streaming = load_scorer(stored, **options)
    assert LINEAR[quantization] in kinds(streaming.backbone.model)
    expected = prefixes(load_scorer(stored, streaming=False, **options), 7)
    assert np.abs(prefixes(streaming, 7) - expected).max() <= TOLERANCE
    layers = [part for part in streaming.backbone.model.modules() if isinstance(part, Linear8bitLt)]
    assert all(layer.state.threshold == 0.0 for layer in layers)


@pytest.mark.parametrize(
    ("name", "dtype", "words"),
    [("random:{}", "float32", "random weights"), ("{}", "float64", "float64")],
)
def test_what_cannot_be_quantized_is_refused(checkpoint, name, dtype, words):
    options = {"device": "cpu", "frame_size": SIZE, "quantization": "nf4", "dtype": dtype}
    with pytest.raises(ModelError, match=words) as caught:
        load_scorer(name.format(checkpoint), **options)
    assert "quantization is nf4" in str(caught.value)
