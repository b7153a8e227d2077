"""A checkpoint that names too much, or code of others, is judged before anything is built."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from checkpoints import write_qwen3_vl
from test_loading import load, refusal

LONG = list(range(100_000))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_qwen3_vl(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def checkpoint(original, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(original, tmp_path / "copy")


def change(checkpoint, section=None, **values):
    path = checkpoint / "config.json"
    content = json.loads(path.read_text())
    (content[section] if section else content).update(values)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("form", ["{}", "random:{}"])
@pytest.mark.parametrize(
    ("section", "field", "value", "words"),
    [
        ("text_config", "num_hidden_layers", 10**5, "num_hidden_layers is 100000"),
        ("text_config", "num_hidden_layers", 10**12, "num_hidden_layers is 1000000000000"),
        ("vision_config", "depth", 10**5, "depth is 100000"),
        ("vision_config", "deepstack_visual_indexes", LONG, "deepstack_visual_indexes has 100000"),
        ("text_config", "layer_types", ["full_attention"] * 2000, "layer_types has 2000"),
        (None, "anything", [[LONG]], "anything has 100000"),
    ],
)
def test_what_would_be_built_for_minutes_is_refused_at_once(
    checkpoint, form, section, field, value, words
):
    change(checkpoint, section, **{field: value})
    before = time.thread_time()
    sentence = refusal(form.format(checkpoint))
    assert words in sentence and "at most" in sentence and "fetch the model again" in sentence
    assert time.thread_time() - before < 5


@pytest.mark.parametrize("field", ["hidden_size", "vocab_size", "intermediate_size"])
def test_random_weights_that_no_memory_holds_are_not_made(checkpoint, field):
    change(checkpoint, "text_config", **{field: 10**11})
    sentence = refusal(f"random:{checkpoint}")
    assert "parameters" in sentence and "are free" in sentence


@pytest.mark.parametrize("file", ["config.json", "topreward.json", "tokenizer.json", "extra.jinja"])
def test_a_file_of_a_checkpoint_that_is_far_too_large_is_not_read(checkpoint, file):
    with (checkpoint / file).open("wb") as large:
        large.truncate(2**30)
    before = time.thread_time()
    sentence = refusal(checkpoint)
    assert file in sentence and "larger than" in sentence
    assert time.thread_time() - before < 5


@pytest.mark.parametrize("section", [None, "text_config", "vision_config"])
@pytest.mark.parametrize("form", ["{}", "random:{}"])
def test_attention_that_a_checkpoint_names_is_never_fetched(original, checkpoint, form, section):
    named = {"_attn_implementation": "someone/kernel:run", "_experts_implementation": "someone/x"}
    change(checkpoint, section, **named)
    scorer = load(form.format(checkpoint))
    assert scorer.fingerprint == load(form.format(original)).fingerprint
    parts = [part for part in scorer.backbone.model.modules() if hasattr(part, "config")]
    assert {part.config._attn_implementation for part in parts} == {"topreward_sdpa"}


HUB_USER = """
import sys
from topreward_ros.models.checkpoints.loading import load_scorer
for model in sys.argv[1:]:
    try:
        scorer = load_scorer(model, device="cpu", frame_size=(32, 32))
        print(scorer.name, scorer.fingerprint)
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.mark.slow
def test_a_hub_model_loads_by_the_revision_that_is_named(original, tmp_path):
    commits = {"v1": "1" * 40, "main": "2" * 40}
    other = write_qwen3_vl(tmp_path / "other", seed=1)
    hub = tmp_path / "hub"
    for (name, commit), source in zip(commits.items(), (original, other), strict=True):
        kept = hub / "models--some--model"
        shutil.copytree(source, kept / "snapshots" / commit)
        (kept / "refs").mkdir(exist_ok=True)
        (kept / "refs" / name).write_text(commit)
    asked = ["some/model", "some/model@v1", f"some/model@{'1' * 40}", "some/model@v3"]
    environment = {**os.environ, "HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", HUB_USER, *asked],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    latest, tag, commit, missing = run.stdout.splitlines()
    assert latest == f"some/model {load(other).fingerprint}"
    assert tag == f"some/model@v1 {load(original).fingerprint}"
    assert commit == f"some/model@{'1' * 40} {load(original).fingerprint}"
    assert missing.startswith("ModelError some/model@v3 cannot be loaded: ")


@pytest.mark.parametrize("name", ["demo@v1", "some/model@", "some/model@../x", "some/model@a b"])
def test_a_revision_that_cannot_be_is_refused(name):
    assert f"There is no model at {name!r}" in refusal(name)


def test_a_directory_may_have_an_at_in_its_name(original, tmp_path):
    place = shutil.copytree(original, tmp_path / "model@v1")
    assert load(place).fingerprint == load(original).fingerprint
