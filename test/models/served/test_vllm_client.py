"""A model behind vLLM's wire format: the numbers of a local one, whatever the server loses."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from cable import Cable
from checkpoints import write_qwen3_vl
from vllm_server import VllmServer

from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.contract import ModelError
from topreward_ros.models.loading import open_scorer
from topreward_ros.models.served import connection
from topreward_ros.models.served.patience import ServerLost

TASKS = ["open the drawer", "close it"]
KEPT, FRAMES = 8, 37
SIZE = (64, 64)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(write_qwen3_vl(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def served(checkpoint):
    server = VllmServer(checkpoint, frame_size=SIZE)
    yield server
    server.stop()


@pytest.fixture
def server(served):
    """The server, as nothing had happened."""
    served.faults, served.fingerprint, served.key = set(), "vllm-0.32.0-0123abcd", ""
    served.longest = 32768
    served.evict()
    return served


def opened(server, **options):
    given = {"frame_size": SIZE, "max_pairs": KEPT, "patience": 60.0, **options}
    return open_scorer(server.address, **given)


@pytest.fixture
def frames():
    return np.random.default_rng(1).integers(0, 256, (FRAMES, *SIZE, 3), np.uint8)


def shown(session, frames, index):
    session.append(frames[index], round(index / 2 + 0.0123 * (index % 3), 4))
    return session.log_probs(TASKS)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["raw", "raw_period", "chat"])
def test_a_served_score_is_that_of_a_local_model_though_the_server_loses_its_cache(
    server, checkpoint, frames, form
):
    given = {"prompt": form, "frame_size": SIZE, "max_pairs": KEPT}
    local = load_scorer(checkpoint, device="cpu", **given).start()
    scorer = opened(server, prompt=form)
    session, apart, lost = scorer.start(), [], 0
    for index in range(FRAMES):
        if index % 5 == 4:
            server.evict()
            lost += 1
        apart.append(shown(session, frames, index) - shown(local, frames, index))
    assert np.abs(apart).max() <= 1e-5
    assert scorer.health.resent == lost and scorer.health.news() == []


def test_what_the_server_has_is_named_and_not_sent(server, frames):
    session = opened(server).start()
    for index in range(6):
        shown(session, frames, index)
    before = server.pixels
    shown(session, frames, 6)  # a new pair, with one frame
    assert server.pixels == before + 1
    shown(session, frames, 7)
    assert server.pixels == before + 2


def test_no_two_episodes_or_robots_name_a_pair_alike(server, frames):
    """A server trusts names: equal ones would share a score."""
    scorers = [opened(server), opened(server)]
    sessions = [scorer.start() for scorer in scorers for _ in range(2)]
    for session in sessions:
        shown(session, frames, 0)
    names = [item.name for session in sessions for item in session._items.values()]
    assert len(set(names)) == len(names) == 4


FAULTS = {
    "doubles": "second pair of vision markers.*--chat-template",
    "turn end": "adds text behind the question.*--chat-template",
    "resizes": "samples or resizes frames.*--media-io-kwargs",
    "drops frames": "samples or resizes frames",
    "late": "other times",
    "blind": "does not look at them",
    "processed": "--logprobs-mode raw_logprobs",
    "logits": "--logprobs-mode raw_logprobs",
    "nan": "no number for the test clip",
    "no numbers": "lacks a field",
    "other tokens": "tokenizer is another one",
    "mixed up": "another question",
    "other server": "no vLLM server",
    "huge": "more than 4 MiB",
}


@pytest.mark.parametrize(("fault", "sentence"), FAULTS.items())
def test_a_server_that_does_something_else_is_refused_at_configure(server, fault, sentence):
    server.faults = {fault}
    with pytest.raises(ModelError, match=sentence) as refusal:
        opened(server)
    assert "\n" not in str(refusal.value) and str(refusal.value).endswith(".")


@pytest.mark.parametrize(
    ("fault", "flag"),
    [("recomputes", "--enable-prefix-caching"), ("says nothing", "--enable-prompt-tokens-details")],
)
def test_a_server_that_recomputes_is_taken_and_named(server, fault, flag):
    assert opened(server).backend.flat and not opened(server).backend.remark
    server.faults = {fault}
    backend = opened(server).backend
    assert not backend.flat and flag in backend.remark
    assert backend.exact and backend.resend and not backend.censored


def test_a_prompt_that_the_server_cannot_take_is_refused_with_numbers_that_fit(server):
    server.longest = 700
    with pytest.raises(ModelError, match="--max-model-len ") as refusal:
        opened(server, max_pairs=64)
    fitting = int(str(refusal.value).rpartition(" ")[2].rstrip("."))
    assert opened(server, max_pairs=fitting).max_pairs == fitting
    with pytest.raises(ModelError, match="even number"):
        opened(server, max_pairs=5)


def test_a_model_that_the_server_does_not_have_is_refused_with_those_that_it_has(server):
    address = server.address.partition("#")[0]
    assert open_scorer(address, frame_size=SIZE).name == address
    with pytest.raises(ModelError, match="has no model 'other'; it serves"):
        open_scorer(f"{address}#other", frame_size=SIZE)


def test_a_wrong_key_is_said_and_never_shown(server, monkeypatch):
    server.key = "right-key"
    with pytest.raises(ModelError, match="TOPREWARD_API_KEY"):
        opened(server)
    monkeypatch.setenv(connection.KEY, "wrong-key")
    with pytest.raises(ModelError, match="refuses the key") as refusal:
        opened(server)
    assert "wrong-key" not in str(refusal.value)
    monkeypatch.setenv(connection.KEY, "right-key")
    assert opened(server).backend.exact


@pytest.mark.parametrize(
    ("url", "unencrypted"),
    [
        ("http://gpu:8000", True),
        ("http://192.168.1.7:8000", True),
        ("https://gpu:8000", False),
        ("http://127.0.0.1:8000", False),
        ("http://[::1]:8000", False),
        ("http://localhost:8000", False),
    ],
)
def test_a_key_that_others_can_read_is_remarked(monkeypatch, url, unencrypted):
    assert not connection.Connection(url).open_key
    monkeypatch.setenv(connection.KEY, "a-key")
    assert connection.Connection(url).open_key == unencrypted
    monkeypatch.setenv(connection.KEY, "schlüssel")
    with pytest.raises(ModelError, match="characters that no key has"):
        connection.Connection(url)


def test_an_absent_server_is_lost_after_the_patience(checkpoint):
    with pytest.raises(ServerLost, match="cannot be reached"):
        _chosen_without_waiting(checkpoint)


def _chosen_without_waiting(checkpoint):
    from topreward_ros.models.served.vllm import scorer as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STARTING", 0.3)
        open_scorer(f"vllm+http://127.0.0.1:9#{checkpoint}", frame_size=SIZE, patience=0.3)


def begun(server, frames):
    scorer = opened(server)
    session = scorer.start()
    return scorer, session, [shown(session, frames, index) for index in range(4)]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("mixed up", "another question"),
        ("no numbers", "lacks a field"),
        ("huge", "more than 4 MiB"),
        ("drops frames", "tokens of a prompt of"),
    ],
)
def test_what_goes_wrong_in_the_midst_is_refused_and_never_scored(server, frames, fault, sentence):
    _, session, _ = begun(server, frames)
    server.faults = {fault}
    with pytest.raises(ModelError, match=sentence):
        shown(session, frames, 4)
    server.faults = set()
    session.log_probs(TASKS)  # the session is as good as before


def test_an_instruction_that_the_server_reads_otherwise_is_refused(server, frames):
    _, session, _ = begun(server, frames)
    server.faults = {"other tokens"}
    with pytest.raises(ModelError, match="tokenizer is another one"):
        session.log_prob("pull the drawer out")


def test_another_model_behind_the_address_is_refused(server, frames):
    """By its name for itself, or after an absence by what it says of the test clip."""
    _, session, _ = begun(server, frames)
    server.faults, server.fingerprint = {"other weights"}, "vllm-0.33.0-4567"
    with pytest.raises(ModelError, match="another model than at configure"):
        shown(session, frames, 4)
    server.faults = set()
    with pytest.raises(ModelError, match=r"is vllm-0\.33\.0-4567, and was"):
        session.log_probs(TASKS)
    server.fingerprint = "vllm-0.32.0-0123abcd"
    session.log_probs(TASKS)
    server.stop()
    server.faults = {"other weights"}
    server.start()
    with pytest.raises(ModelError, match="another model than at configure"):
        shown(session, frames, 5)


def test_a_server_that_was_started_anew_costs_one_loss_and_the_next_number_is_the_same(
    server, checkpoint, frames
):
    scorer, session, _ = begun(server, frames)
    local = load_scorer(checkpoint, device="cpu", frame_size=SIZE, max_pairs=KEPT).start()
    expected = [shown(local, frames, index) for index in range(5)][-1]
    for fault in ("gone", "busy", "truncated"):
        server.faults = {fault}
        threading.Timer(0.4, server.faults.clear).start()
        if fault == "gone":
            assert np.abs(shown(session, frames, 4) - expected).max() <= 1e-5
        else:
            assert np.abs(session.log_probs(TASKS) - expected).max() <= 1e-5
        assert [news.lost for news in scorer.health.news()] == [True, False], fault


def test_a_network_that_is_cut_and_mended_costs_one_loss_and_no_number(server, checkpoint, frames):
    cable = Cable(server.port)
    address = f"vllm+http://127.0.0.1:{cable.port}#{checkpoint}"
    scorer = open_scorer(address, frame_size=SIZE, max_pairs=KEPT, patience=60.0)
    scorer.patience._longest_attempt = 1.0
    local = load_scorer(checkpoint, device="cpu", frame_size=SIZE, max_pairs=KEPT).start()
    session = scorer.start()
    for index in range(8):
        if index == 4:
            cable.cut.set()
            threading.Timer(1.5, cable.cut.clear).start()
        here, there = shown(local, frames, index), shown(session, frames, index)
        assert np.abs(here - there).max() <= 1e-5
    assert [news.lost for news in scorer.health.news()] == [True, False]
    cable.close()


def test_a_served_fingerprint_holds_within_a_tenth_of_a_nat(server):
    from topreward_ros.method.calibration import _same_weights

    one, two = opened(server).fingerprint, opened(server).fingerprint
    assert _same_weights(one, two) and _same_weights(two, one)
    server.faults = {"other weights"}
    other = opened(server).fingerprint
    assert other.partition("@")[0] == one.partition("@")[0] and not _same_weights(one, other)
