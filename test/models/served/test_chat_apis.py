"""OpenAI-compatible and Gemini models, by their real clients, against a server of their formats."""

from __future__ import annotations

import logging
import math
import sys
import time
import traceback

import numpy as np
import pytest

pytest.importorskip("openai", reason="needs the extra `apis`")
pytest.importorskip("google.genai", reason="needs the extra `apis`")

from chat_api_server import (
    KEY,
    VERSION,
    ChatApi,
    answer,
    blind,
    chat_api,
    cut_off,
    drop_by_drop,
    expected,
    gigabyte,
    hang,
    plain,
    tops,
)

from topreward_ros.method.prompt import PromptForm
from topreward_ros.models.checkpoints.loading import score_prefixes
from topreward_ros.models.contract import ModelError
from topreward_ros.models.loading import open_scorer
from topreward_ros.models.served.address import parse_address
from topreward_ros.models.served.apis import refusals
from topreward_ros.models.served.apis.gemini_scorer import GeminiService
from topreward_ros.models.served.apis.keys import find_key
from topreward_ros.models.served.apis.openai_scorer import OpenAIService
from topreward_ros.models.served.bounded_http import LARGEST_ANSWER
from topreward_ros.models.served.patience import ServerLost
from topreward_ros.models.server_health import News

ENGINES = ("openai", "gemini")
TASK = "put the red cube on the disc"
SIZE = (24, 32)


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.setattr(refusals, "GARBLED_PAUSE", 0.1)
    with chat_api() as served:
        yield served


def open_at(api: ChatApi, engine: str, **given: object):
    given = {"frame_size": SIZE, "patience": 5.0, **given}
    return open_scorer(getattr(api, engine)(), **given)


def frames(count: int) -> tuple[list[np.ndarray], list[float]]:
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(count)]
    return pictures, [index / 2 for index in range(count)]


def episode(scorer, count: int = 2):
    session = scorer.start()
    for frame, stamp in zip(*frames(count), strict=True):
        session.append(frame, stamp)
    return session


both = pytest.mark.parametrize("engine", ENGINES)


@both
def test_a_reading_is_the_log_prob_of_the_very_frames_stamps_and_words(api, engine):
    scorer = open_at(api, engine)
    session, (pictures, stamps) = scorer.start(), frames(5)
    for count, (frame, stamp) in enumerate(zip(pictures, stamps, strict=True), start=1):
        session.append(frame, stamp)
        assert session.log_prob(TASK) == pytest.approx(
            expected(pictures[:count], stamps[:count], TASK), abs=1e-12
        )
    assert session.frames == 5


@both
def test_one_token_is_asked_for_and_the_twenty_most_probable_ones(api, engine):
    episode(open_at(api, engine)).log_prob(TASK)
    asked = api.asked[-1]
    if engine == "openai":
        assert asked.path == "/v1/chat/completions"
        told = {"model": "vision-1", "max_tokens": 1, "temperature": 0, "logprobs": True}
        assert told.items() <= asked.body.items() and asked.body["top_logprobs"] == 20
    else:
        assert asked.path.endswith("/models/vision-1:generateContent")
        told = {"maxOutputTokens": 1, "temperature": 0, "responseLogprobs": True, "logprobs": 20}
        assert told.items() <= asked.body["generationConfig"].items()


@both
def test_a_reader_of_other_frames_or_stamps_would_notice(api, engine):
    """The yardstick itself: each mistake changes the number."""
    pictures, stamps = frames(3)
    right = episode(open_at(api, engine), 3).log_prob(TASK)
    assert right == pytest.approx(expected(pictures, stamps, TASK), abs=1e-12)
    for wrong in (
        expected(pictures[::-1], stamps, TASK),
        expected(pictures, [0.0, 1.0, 2.0], TASK),
        expected(pictures[:2], stamps[:2], TASK),
        expected([p[..., ::-1] for p in pictures], stamps, TASK),
        expected(pictures, stamps, TASK + " now"),
    ):
        assert abs(wrong - right) > 1e-6


@both
def test_max_pairs_keeps_as_many_pictures_and_those_of_the_whole_episode(api, engine):
    session = episode(open_at(api, engine, max_pairs=4), 11)
    value = session.log_prob(TASK)
    assert api.asked[-1].pictures <= 5
    pictures, stamps = frames(11)
    kept = [float(part[1:-9]) for part in api.asked[-1].parts[:-1:2]]
    assert kept[0] == 0.0 and kept[-1] == 5.0 and kept == sorted(kept)
    places = [stamps.index(stamp) for stamp in kept]
    assert value == pytest.approx(expected([pictures[i] for i in places], kept, TASK), abs=1e-12)


@both
def test_sessions_at_a_time_have_nothing_to_do_with_each_other(api, engine):
    scorer = open_at(api, engine)
    one, other = episode(scorer, 3), episode(scorer, 2)
    assert one.log_prob(TASK) == pytest.approx(expected(*frames(3), TASK), abs=1e-12)
    assert other.log_prob(TASK) == pytest.approx(expected(*frames(2), TASK), abs=1e-12)


@both
def test_prefixes_and_several_instructions_go_the_same_way(api, engine):
    scorer = open_at(api, engine)
    scores = score_prefixes(scorer, *frames(4), TASK, [4, 2])
    pictures, stamps = frames(4)
    assert scores == pytest.approx(
        [expected(pictures[:n], stamps[:n], TASK) for n in (4, 2)], abs=1e-12
    )
    values = episode(scorer).log_probs([TASK, "open the drawer"])
    assert values == pytest.approx(
        [expected(pictures[:2], stamps[:2], text) for text in (TASK, "open the drawer")], abs=1e-12
    )


@both
def test_what_the_backend_is_worth_is_said(api, engine):
    scorer = open_at(api, engine)
    backend = scorer.backend
    assert backend.name == f"{engine} vision-1"
    assert (backend.exact, backend.flat, backend.resend, backend.censored) == (
        False, False, True, True,
    )  # fmt: skip
    assert scorer.prompt_form is PromptForm.CHAT and scorer.success_threshold is None
    assert open_scorer(getattr(api, engine)(), patience=5.0).frame_size == (256, 256)
    same = open_at(api, engine)
    other_size = open_at(api, engine, frame_size=(32, 24))
    api.version = "vision-1-2027-01-01"
    newer = open_at(api, engine)
    assert scorer.fingerprint == same.fingerprint
    assert len({s.fingerprint for s in (scorer, other_size, newer)}) == 3


@both
@pytest.mark.parametrize("told", [None, -9999.0, -1e5])
def test_an_answer_outside_of_the_most_probable_ones_has_no_number(api, engine, told):
    session = episode(open_at(api, engine))
    api.replies.append(answer(told))
    assert math.isnan(session.log_prob(TASK)), "nor is another spelling the answer"
    assert session.log_prob(TASK) == pytest.approx(expected(*frames(2), TASK), abs=1e-12)


@both
def test_a_certain_answer_may_be_rounded_above_zero_and_counts_as_zero(api, engine):
    session = episode(open_at(api, engine))
    api.replies.append(answer(1e-7))
    assert session.log_prob(TASK) == 0.0
    api.replies.extend([answer(0.7)])  # no probability: asked again
    assert session.log_prob(TASK) == pytest.approx(expected(*frames(2), TASK), abs=1e-12)


@both
@pytest.mark.parametrize("form", ["raw", "raw_period"])
def test_another_form_of_the_prompt_is_refused_before_anything_is_sent(api, engine, form):
    with pytest.raises(ModelError, match=f"prompt_form is '{form}'.*set it to chat"):
        open_at(api, engine, prompt=form)
    assert not api.asked
    open_at(api, engine, prompt="chat")


@both
def test_an_address_without_a_model_is_refused(api, engine):
    with pytest.raises(ModelError, match="names no model of that server"):
        open_scorer(f"{engine}+{api.url}")


# Keys.


@pytest.mark.parametrize(
    ("engine", "names"),
    [("openai", "OPENAI_API_KEY"), ("gemini", "GOOGLE_API_KEY and GEMINI_API_KEY")],
)
def test_a_service_without_a_key_is_refused_before_anything_is_sent(monkeypatch, engine, names):
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ModelError, match=f"{names} (is|are) not set.*Nothing has been sent"):
        open_scorer(f"{engine}:vision-1")


@both
@pytest.mark.parametrize("secret", ["two words", "sk-line\nbreak", "sk-€"])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(api, monkeypatch, engine, secret):
    monkeypatch.setenv({"openai": "OPENAI_API_KEY", "gemini": "GEMINI_API_KEY"}[engine], secret)
    with pytest.raises(ModelError, match="holds characters that no key has") as refusal:
        open_at(api, engine)
    assert secret not in str(refusal.value) and not api.asked


@both
def test_a_key_does_not_travel_unencrypted_to_another_machine(api, engine):
    with pytest.raises(ModelError, match="would travel unencrypted"):
        open_scorer(f"{engine}+http://192.0.2.1:8000#vision-1")


@both
def test_a_wrong_key_is_one_sentence(api, monkeypatch, engine):
    name = {"openai": "OPENAI_API_KEY", "gemini": "GEMINI_API_KEY"}[engine]
    monkeypatch.setenv(name, "sk-another")
    with pytest.raises(ModelError, match=rf"does not accept the key in {name} \(401\)") as refusal:
        open_at(api, engine)
    assert "sk-another" not in str(refusal.value) and len(api.asked) == 1


@both
def test_what_is_not_encrypted_goes_through_no_proxy(api, monkeypatch, engine):
    with chat_api() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        open_at(api, engine)
        assert api.asked and not proxy.asked


def test_nothing_in_the_environment_moves_the_official_addresses(api, monkeypatch):
    for name in ("OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL"):
        monkeypatch.setenv(name, api.url)
    client = service_of("openai")._client
    assert str(client.base_url) == "https://api.openai.com/v1/"
    options = service_of("gemini")._client._api_client._http_options
    assert options.base_url == "https://generativelanguage.googleapis.com/"
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "somebody-elses")
    vertex = service_of("gemini")
    assert vertex.backend == "gemini vertexai vision-1" and not vertex._client._api_client.project
    options = vertex._client._api_client._http_options
    assert options.base_url == "https://aiplatform.googleapis.com/"
    assert service_of("gemini+http://127.0.0.1:9#vision-1").backend == "gemini vision-1"


def service_of(engine: str):
    """The service of an address, of which nothing has been asked yet."""
    address = parse_address(engine if "#" in engine else f"{engine}:vision-1")
    kind = {"openai": OpenAIService, "gemini": GeminiService}[address.engine]
    key = find_key(address)
    return kind(address, key, refusals.Refusals(address, key))


@both
def test_a_server_of_ones_own_may_need_no_key(api, monkeypatch, engine):
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name)
    api.always = answer()
    open_at(api, engine)
    assert KEY not in str(api.asked[-1].headers)
    api.always = plain(401, {"error": {"message": "who are you?"}})
    with pytest.raises(ModelError, match=r"wants a key \(401\); set \w+_API_KEY"):
        open_at(api, engine)


@pytest.mark.slow
@both
def test_a_key_is_in_nothing_that_is_said_or_raised(api, engine, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    said = []
    scorer = open_at(api, engine, patience=3.0)
    session = episode(scorer)
    echo = {"error": {"message": f"bad {KEY}", "status": KEY, "code": KEY, "details": [KEY]}}
    for reply in (
        *(plain(status, echo) for status in (400, 401, 403, 404, 413, 418)),
        plain(200, f"not JSON {KEY}".encode()),
        plain(429, echo, {"retry-after": "60"}),
        plain(503, f"<html>{KEY}</html>".encode(), {"retry-after": "60"}),
        plain(302, KEY.encode(), {"location": f"{api.url}/elsewhere"}),
    ):
        api.always = reply
        try:
            session.log_prob(TASK)
        except ModelError:
            said.append(traceback.format_exc())
            assert sys.exc_info()[1].__cause__ is None
    assert len(said) == 10
    said += [str(scorer.health.news()), scorer.health.trouble, repr(vars(scorer)), caplog.text]
    said += [scorer.name, scorer.fingerprint, repr(scorer.backend), *capfd.readouterr()]
    assert KEY not in "".join(said)


# What a service refuses at configure.

NO_LOG_PROBS = {
    "openai": {"error": {"message": "'logprobs' is not supported with this model."}},
    "gemini": {"error": {"code": 400, "message": "Logprobs is not enabled for models/vision-1"}},
}


@pytest.mark.slow
@both
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (lambda e: plain(400, NO_LOG_PROBS[e]), "tells no log-probs of it.*take a model"),
        (lambda e: plain(400, {"error": {"message": "image_url is not allowed here"}}),
         "takes no pictures.*take a model that sees"),
        (lambda e: plain(404, {"error": {"message": "no such model"}}), "has no model 'vision-1'"),
        (lambda e: plain(429, {"error": {"message": "You exceeded your quota.",
                                         "code": "insufficient_quota",
                                         "details": [{"quotaId": "RequestsPerDay"}]}}),
         "quota is used up.*billing"),
        (lambda e: plain(402, {"error": {"message": "pay"}}), "quota is used up"),
        (lambda e: plain(403, {"error": {"message": "not in your country"}}), "has no right to it"),
        (lambda e: plain(413, b"too big"), "smaller frame_size or max_pairs"),
        (lambda e: plain(301, b"", {"location": "http://192.0.2.1/"}), "301"),
        (lambda e: blind, "does not see them"),
        (lambda e: plain(200, gzip_bomb(), {"content-encoding": "gzip"}), "compresses its answer"),
    ],
)  # fmt: skip
def test_what_a_service_lacks_is_one_sentence_at_configure(api, engine, reply, words):
    api.always = reply(engine)
    with pytest.raises(ModelError, match=words) as refusal:
        open_at(api, engine)
    sentence = str(refusal.value)
    assert sentence.startswith(f"The model {getattr(api, engine)()} cannot be used: ")
    assert sentence.count("\n") == 0 and len(sentence) < 700


@both
def test_a_service_that_tells_no_log_probs_in_its_answer_is_refused(api, engine):
    empty = {"openai": {"choices": [{"message": {"content": "True"}, "logprobs": None}]},
             "gemini": {"candidates": [{"content": {"parts": [{"text": "True"}]}}]}}  # fmt: skip
    api.always = plain(200, empty[engine])
    with pytest.raises(ModelError, match="tells no log-probs of it"):
        open_at(api, engine)


def test_a_gemini_that_cannot_be_told_not_to_think_is_asked_as_it_is(api):
    told = {"error": {"code": 400, "message": "Budget 0 is invalid: works in thinking mode only."}}
    api.replies.append(plain(400, told))
    scorer = open_at(api, "gemini")
    budgets = ["thinkingConfig" in asked.body["generationConfig"] for asked in api.asked]
    assert budgets == [True, False, False]
    assert episode(scorer).log_prob(TASK) == pytest.approx(expected(*frames(2), TASK), abs=1e-12)


def test_an_openai_that_wants_another_name_for_the_number_of_tokens_gets_it(api):
    told = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    api.replies.append(plain(400, {"error": {"message": told}}))
    scorer = open_at(api, "openai")
    assert ["max_tokens" in asked.body for asked in api.asked] == [True, False, False]
    assert api.asked[-1].body["max_completion_tokens"] == 1
    assert episode(scorer).log_prob(TASK) == pytest.approx(expected(*frames(2), TASK), abs=1e-12)


# During an episode.


@pytest.mark.slow
@both
@pytest.mark.parametrize(
    "reply",
    [
        plain(429, {"error": {"message": "slow down"}}, {"retry-after": "0.2"}),
        plain(503, {"error": {"message": "overloaded"}}),
        plain(500, b"<html>oops</html>", {"content-type": "text/html"}),
        plain(200, b"{\"choices\": [tr"),
        plain(200, b"<html>log in</html>", {"content-type": "text/html"}),
        plain(200, b"[" * 100_000),
        plain(200, {"choices": [], "candidates": []}),
        plain(200, {"choices": [{"message": {}}], "candidates": [{"finishReason": "OTHER"}]}),
        plain(200, {"choices": "none", "candidates": 7}),
        plain(200, []),
        cut_off,
    ],
    ids=range(11),
)  # fmt: skip
def test_what_may_pass_is_asked_again_and_told(api, engine, reply):
    scorer = open_at(api, engine)
    session = episode(scorer)
    api.replies.append(reply)
    assert session.log_prob(TASK) == pytest.approx(expected(*frames(2), TASK), abs=1e-12)
    news = scorer.health.news()
    assert [each.lost for each in news] == [True, False], news
    assert isinstance(news[0], News) and api.url in news[0].detail


@pytest.mark.slow
@both
def test_the_pause_that_a_service_asks_for_is_kept(api, engine):
    scorer = open_at(api, engine, patience=3.0)
    session = episode(scorer)
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "60s"}
    told = {"error": {"code": 429, "message": "slow down", "details": [info]}}
    api.replies.append(plain(429, told, {} if engine == "gemini" else {"retry-after": "60"}))
    before = len(api.asked)
    with pytest.raises(ServerLost, match=r"allows no more questions for now \(429: slow down\)"):
        session.log_prob(TASK)
    assert len(api.asked) == before + 1, "a minute is longer than there is patience"


@pytest.mark.slow
@both
def test_a_silent_service_is_given_up_in_time_and_asked_again(api, engine):
    scorer = open_at(api, engine, patience=3.0)
    session = episode(scorer)
    api.replies.append(hang(6.0))
    with pytest.raises(ServerLost, match="no answer in time"):
        session.log_prob(TASK)
    assert session.log_prob(TASK) == pytest.approx(expected(*frames(2), TASK), abs=1e-12)


@pytest.mark.slow
@both
def test_an_answer_that_comes_drop_by_drop_is_given_up_as_well(api, engine):
    session = episode(open_at(api, engine, patience=3.0))
    api.replies.append(drop_by_drop)
    began = time.monotonic()
    with pytest.raises(ServerLost, match="no answer in time"):
        session.log_prob(TASK)
    assert time.monotonic() - began < 20.0, "the answer would take 50 s"


@both
def test_a_service_that_is_not_there_is_one_sentence(monkeypatch, engine):
    with chat_api() as gone:
        address = getattr(gone, engine)()
    with pytest.raises(ServerLost, match="cannot be reached"):
        open_scorer(address, patience=0.3)


REFUSALS = {
    "openai": [
        {"choices": [{"finish_reason": "content_filter", "message": {}}]},
        {"choices": [{"finish_reason": "stop", "message": {"refusal": "I won't."}}]},
    ],
    "gemini": [
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"candidates": [{"finishReason": "PROHIBITED_CONTENT"}]},
    ],
}


@both
@pytest.mark.parametrize("index", [0, 1])
def test_a_refusal_for_the_content_is_one_sentence_and_no_number(api, engine, index):
    session = episode(open_at(api, engine))
    api.replies.append(plain(200, REFUSALS[engine][index]))
    with pytest.raises(ModelError, match="refuses to answer for the content"):
        session.log_prob(TASK)
    assert session.log_prob(TASK) == pytest.approx(expected(*frames(2), TASK), abs=1e-12)


@both
def test_another_version_of_the_model_in_the_midst_is_refused(api, engine):
    session = episode(open_at(api, engine))
    api.version = "vision-1-2027-01-01"
    with pytest.raises(ModelError, match=f"version vision-1-2027-01-01 .*began with {VERSION}"):
        session.log_prob(TASK)


@pytest.mark.slow
@both
@pytest.mark.parametrize("announced", [True, False])
def test_an_answer_of_a_gigabyte_is_not_read(api, engine, announced):
    session = episode(open_at(api, engine))
    api.replies.append(reply := gigabyte(announced=announced))
    with pytest.raises(ModelError, match="sends an answer of more than 4 MiB"):
        session.log_prob(TASK)
    assert reply.sent < 8 * LARGEST_ANSWER


def gzip_bomb() -> bytes:
    import gzip

    return gzip.compress(b" " * 10**6)


def test_the_servers_tokens_are_as_many_as_services_tell():
    assert len(tops(-1.0)) == len(tops(None)) == 20
