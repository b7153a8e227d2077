"""The addresses that the parameter `model` takes."""

from __future__ import annotations

import pytest

from topreward_ros.models.contract import ModelError
from topreward_ros.models.loading import ENGINES, open_scorer
from topreward_ros.models.served import address
from topreward_ros.models.served.address import parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vllm+http://gpu:8000", ("vllm", "http://gpu:8000", "")),
        ("vllm+https://gpu/robots/#Qwen/Qwen3-VL-8B-Instruct",
         ("vllm", "https://gpu/robots", "Qwen/Qwen3-VL-8B-Instruct")),
        ("ray+http://[::1]:8000", ("ray", "http://[::1]:8000", "")),
        ("openai:gpt-5", ("openai", "", "gpt-5")),
        ("gemini+http://127.0.0.1:9#gemini-2.5-flash",
         ("gemini", "http://127.0.0.1:9", "gemini-2.5-flash")),
    ],
)  # fmt: skip
def test_an_address_names_engine_place_and_model(text, expected):
    found = parse_address(text)
    assert (found.engine, found.url, found.model) == expected
    assert found.name == text


@pytest.mark.parametrize(
    "text",
    ["demo", "Qwen/Qwen3-VL-8B-Instruct@main", "/models/mine", "random:/mine", "vllm"],
)
def test_what_lies_on_this_machine_is_no_address(text):
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://gpu:8000", "without an engine"),
        ("ftp://gpu", "without an engine"),
        ("vllm+gpu:8000", "is no address"),
        ("vllm+http://", "is no address"),
        ("vllm+http://gpu:99999", "is no address"),
        ("vllm+http://gpu:x", "is no address"),
        ("vllm+http://[::1:8000", "is no address"),
        ("vllm+ftp://gpu", "is no address"),
        ("openai:", "names no model"),
        ("vllm+http://me:secret@gpu:8000", "keys come from the environment"),
        ("ray+http://gpu:8000?key=secret", "keys come from the environment"),
    ],
)
def test_what_is_no_address_is_refused_in_a_sentence_without_its_secrets(text, words):
    with pytest.raises(ModelError, match=words) as refusal:
        parse_address(text)
    assert "secret" not in str(refusal.value)


def test_every_engine_has_somebody_who_opens_it():
    assert sorted(ENGINES) == sorted(address.ENGINES)


@pytest.mark.parametrize(("name", "value"), [("quantization", "nf4"), ("dtype", "float16")])
def test_what_the_server_decides_cannot_be_set_here(name, value):
    with pytest.raises(ModelError, match=f"{name} is '{value}'"):
        open_scorer("vllm+http://127.0.0.1:9", **{name: value})
