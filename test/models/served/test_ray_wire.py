"""What robot and server say to each other: read as it was written, or refused in a sentence."""

from __future__ import annotations

import dataclasses
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topreward_ros.method.prompt import PromptForm
from topreward_ros.models.contract import Backend, Capabilities, Rewind
from topreward_ros.models.served.ray_serve.answer import Answer, pack_answer, unpack_answer
from topreward_ros.models.served.ray_serve.fields import WireError
from topreward_ros.models.served.ray_serve.history import EMPTY, history
from topreward_ros.models.served.ray_serve.served_model import (
    ServedModel,
    pack_model,
    unpack_model,
)
from topreward_ros.models.served.ray_serve.update import (
    LARGEST_HEAD,
    Update,
    largest_update,
    pack_update,
    unpack_update,
)

MODEL = ServedModel(
    "demo", "0123", (4, 6), PromptForm.RAW, -3.5, 2.0, None,
    Capabilities(2, True, Rewind.CROP), Backend("ray, local float32", True, True, resend=True), 6,
)  # fmt: skip
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), np.uint8)
UPDATE = Update(
    "ab" * 16, "0123", "ray, local float32", 6, 23, "1" * 32, "2" * 32, None,
    (9.5, 10.0, 10.1), PICTURES, ("öffne die Schublade", "close it"),
)  # fmt: skip
ANSWER = Answer("ab" * 16, 23, "0123", "ray", (-0.1234567890123456, float("nan")), 0.025)


def test_an_update_arrives_as_it_was_sent():
    for update in (UPDATE, dataclasses.replace(UPDATE, numbers=(0, 11))):
        found = unpack_update(pack_update(update), MODEL)
        assert np.array_equal(found.pictures, PICTURES) and found.pictures.dtype == np.uint8
        for field in dataclasses.fields(Update):
            if field.name != "pictures":
                assert getattr(found, field.name) == getattr(update, field.name)
    units = found.units(2)
    assert [unit.number for unit in units] == [0, 11]
    assert [unit.stamps for unit in units] == [(9.5, 10.0), (10.1, 10.1)]
    assert np.array_equal(units[1].frames, PICTURES[[2, 2]])
    assert len(pack_update(update)) <= largest_update(MODEL)


def test_answers_and_models_arrive_as_they_were_sent():
    assert repr(unpack_answer(json.loads(pack_answer(ANSWER)))) == repr(ANSWER)
    for log_probs in (None, ()):
        answer = dataclasses.replace(ANSWER, log_probs=log_probs)
        assert unpack_answer(json.loads(pack_answer(answer))) == answer
    assert unpack_model(json.loads(pack_model(MODEL))) == (1, MODEL)
    other = {"version": 2, "whatever": "else"}
    assert unpack_model(other) == (2, None)


def body(head: dict[str, object] | bytes, pixels: int = 0, version: int = 1) -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<4sII", b"TPRW", version, len(text)) + text + bytes(pixels)


HEAD = {
    name: getattr(UPDATE, name) for name in Update.__annotations__ if name not in ("pictures",)
} | {"stamps": [], "numbers": None}


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", "no update"),
        (b"GET / HTTP/1.1", "no update"),
        (body(HEAD)[:11], "no update"),
        (body(HEAD, version=2), "version 2 of the wire format"),
        (body(HEAD)[:-1], "of which"),
        (body(b"{" + b" " * LARGEST_HEAD + b"}"), "at most"),
        (body(b"[" * 9000), "no valid JSON"),
        (body(b"[]"), "no JSON object"),
        (body(b'{"stamps": [NaN]}', pixels=72), "stamps is"),
        (body(HEAD, pixels=1), "bytes of pixels"),
        (body(HEAD | {"stamps": [0.0] * 15}, pixels=15 * 72), "stamps is"),
        (body(HEAD | {"stamps": [None]}, pixels=72), "1 stamps"),
        (body(HEAD | {"stamps": [True]}, pixels=72), "stamps is"),
        (body(HEAD | {"episode": "robot_1"}), "episode is 'robot_1'; expected 32 hexadecimal"),
        (body(HEAD | {"frames": -1}), "frames is -1"),
        (body(HEAD | {"frames": 1.5}), "frames is 1.5"),
        (body(HEAD | {"frames": 10**400}), "frames is"),
        (body(HEAD | {"numbers": [1, "x"]}), "numbers is"),
        (body(HEAD | {"numbers": list(range(99))}), "numbers is"),
        (body(HEAD | {"instructions": "go"}), "instructions is"),
        (body(HEAD | {"instructions": ["\ud800"]}), "instructions is"),
        (body(HEAD | {"instructions": ["x" * 5000]}), "instructions is"),
        (body(HEAD | {"after": "\x1b[31m"}), r"after is '\\x1b\[31m'"),
    ],
)
def test_what_is_no_update_is_refused_in_a_sentence(sent, words):
    with pytest.raises(WireError, match=words) as refusal:
        unpack_update(sent, MODEL)
    assert str(refusal.value).isprintable() and len(str(refusal.value)) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
@pytest.mark.slow
def test_no_bytes_make_the_server_raise_anything_else(data):
    head = HEAD | data.draw(st.dictionaries(st.sampled_from(sorted(HEAD)), JSON))
    sent = bytearray(body(head, data.draw(st.sampled_from([0, 72, 216]))))
    for place in data.draw(st.lists(st.integers(0, len(sent) - 1), max_size=3)):
        sent[place] = data.draw(st.integers(0, 255))
    answer = data.draw(st.dictionaries(st.sampled_from(sorted(vars(ANSWER))), JSON))
    model = data.draw(st.dictionaries(st.sampled_from(sorted(json.loads(pack_model(MODEL)))), JSON))
    for reader in (
        lambda: unpack_update(bytes(sent), MODEL).units(2),
        lambda: unpack_answer(json.loads(pack_answer(ANSWER)) | answer),
        lambda: unpack_model(json.loads(pack_model(MODEL)) | model),
    ):
        try:
            reader()
        except WireError as error:
            assert str(error).isprintable()


def test_an_answer_that_is_none_is_refused():
    good = json.loads(pack_answer(ANSWER))
    for wrong, words in (
        ({"log_probs": [0.5]}, "above 0"),
        ({"log_probs": ["x"]}, "log_probs is"),
        ({"frames": "23"}, "frames is"),
        ({"model_time": -1.0}, "model_time is"),
    ):
        with pytest.raises(WireError, match=words):
            unpack_answer(good | wrong)


def test_an_answer_fits_its_own_question_alone():
    assert ANSWER.fits(UPDATE)
    for name, value in (("episode", "cd" * 16), ("frames", 22), ("log_probs", (-1.0,))):
        assert not dataclasses.replace(ANSWER, **{name: value}).fits(UPDATE)
    assert dataclasses.replace(ANSWER, log_probs=None).fits(UPDATE)


def test_a_history_tells_videos_apart():
    once = history(EMPTY, PICTURES[0], 0.0)
    assert once == history(EMPTY, PICTURES[0].copy(), 0.0)
    others = {
        history(EMPTY, PICTURES[1], 0.0),
        history(EMPTY, PICTURES[0], 0.5),
        history(EMPTY, PICTURES[0, :, ::-1], 0.0),
        history(once, PICTURES[0], 0.0),
    }
    assert len(others | {once, EMPTY}) == 6
