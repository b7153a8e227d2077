"""A reward node whose model is on a server: the same numbers, and a server that goes away."""

from __future__ import annotations

import pytest
from reward_stack import Stack, stack
from vllm_server import VllmServer

from topreward_msgs.msg import EpisodeEvent

pytestmark = [pytest.mark.usefixtures("context"), pytest.mark.live]
TASK = "put the red cube on the disc"


@pytest.fixture(scope="module")
def served(model):
    server = VllmServer(str(model))
    yield server
    server.stop()


@pytest.fixture
def live(served):
    served.faults = set()
    with stack(served.address, instruction=TASK, server_patience=20.0) as made:
        made.up()
        yield made


def log_probs(live: Stack, first: int, last: int) -> list[float]:
    return [reading.log_prob for reading in live.play(first, last)]


def test_readings_are_those_of_a_local_model_and_diagnostics_say_who_gave_them(live, model):
    served = log_probs(live, 0, 7)
    live.wait(lambda: live.values("model").get("server_ms_p50", "nan") != "nan")
    values = live.values("model")
    assert (values["exact"], values["flat"], values["resend"]) == ("true", "true", "true")
    assert values["censored"] == "false" and values["backend"].startswith("vllm-0.32.0")
    assert values["server"].startswith("http://127.0.0.1:") and values["videos_sent_again"] == "0"
    with stack(model, instruction=TASK) as alone:
        alone.up()
        local = log_probs(alone, 0, 7)
    assert served == pytest.approx(local, abs=1e-5)
    assert len(set(local)) == len(local)


def test_a_server_that_comes_back_costs_a_fault_and_its_end_and_no_reading(live, served, model):
    before = log_probs(live, 0, 3)
    served.stop()
    live.show(4)
    live.wait(lambda: live.named("fault"))
    # Whoever asks the node meanwhile is answered.
    assert live.set(success_hold=1.5) == []
    live.wait(lambda: "cannot be reached" in (live.status("model") or _Said).message)
    served.start()
    live.wait(lambda: len(live.readings) == 5)
    after = log_probs(live, 5, 7)
    live.wait(lambda: live.named("recovered"))
    assert [fault.termination_reason for fault in live.named("fault")] == [
        EpisodeEvent.REASON_MODEL_ERROR
    ]
    assert len(live.named("recovered")) == 1 and not live.named("stopped")
    with stack(model, instruction=TASK) as alone:
        alone.up()
        assert [*before, live.readings[4].log_prob, *after] == pytest.approx(
            log_probs(alone, 0, 7), abs=1e-5
        )


class _Said:
    message = ""


def test_a_server_that_stays_away_ends_the_episode_and_the_next_one_runs_when_it_is_back(
    served, model
):
    with stack(served.address, instruction=TASK, server_patience=6.0) as live:
        live.up()
        live.play(0, 2)
        served.stop()
        live.show(3)
        live.wait(lambda: live.named("stopped"))
        end = live.named("stopped")[0]
        assert end.termination_reason == EpisodeEvent.REASON_MODEL_ERROR
        assert (
            "server_patience" in end.detail and served.address.partition("+")[2][:20] in end.detail
        )
        assert live.state() == "active" and not any(live.successes)
        served.start()
        assert live.reset().success
        live.wait(lambda: len(live.named("started")) == 2)
        live.show(4)
        live.wait(lambda: len(live.readings) == 4)
        assert live.readings[-1].frames == 1


def test_an_episode_that_is_ended_waits_for_no_server(served):
    with stack(served.address, instruction=TASK, server_patience=3600.0) as live:
        live.up()
        live.play(0, 1)
        served.stop()
        live.show(2)
        live.wait(lambda: live.named("fault"))
        assert live.reset().success
        served.start()
        live.show(3)
        live.wait(lambda: len(live.readings) == 3)
        assert live.readings[-1].frames == 1
        assert live.readings[-1].episode_id != live.readings[0].episode_id


def test_a_server_that_does_something_else_fails_configure_with_its_flag(served):
    served.faults = {"processed"}
    with stack(served.address, instruction=TASK) as live:
        assert not live.change("configure")
        live.wait(lambda: "--logprobs-mode" in (live.status("model") or _Said).message)
        assert live.state() == "unconfigured"
        served.faults = {"recomputes"}
        live.up()
        live.wait(lambda: "--enable-prefix-caching" in live.status("model").message)
        assert live.status("model").level == b"\1"
