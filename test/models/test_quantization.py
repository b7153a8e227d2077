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
from transformers import BitsAndBytesConfig

from topreward_ros.models.checkpoints import loading
from topreward_ros.models.checkpoints.loading import load_scorer

LINEAR = {"int8": Linear8bitLt, "nf4": Linear4bit}
TOLERANCE = 5e-3
"""Nats: the products of quantized weights depend a little on how many tokens share a step."""


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
    options = {"device": "cpu", "frame_size": SIZE, "quantization": "int8"}
    expected = prefixes(load_scorer(checkpoint, streaming=False, **options), 7)
    actual = prefixes(load_scorer(checkpoint, **options), 7)
    assert np.abs(actual - expected).max() > TOLERANCE


def test_a_quantized_score_is_a_log_probability(scorers):
    session = scorers[0].start()
    session.append(*next(zip(*episode(1), strict=True)))
    assert session.log_prob(TASKS[0]) < 0
