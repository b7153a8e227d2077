"""The live node with a model behind a chat API: real client, real node, a server of that format."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("openai", reason="needs the extra `apis`")
pytest.importorskip("google.genai", reason="needs the extra `apis`")

from chat_api_server import KEY, answer, censored_below, chat_api, expected, plain
from reward_stack import picture, stack

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.video.resizing import resize

TASK = "put the red cube on the disc"
SETTINGS = {
    "device": "auto",
    "prompt_form": "chat",
    "frame_size": [24, 32],
    "success_threshold": -2.0,
    "success_hold": 0.5,
    "success_min_duration": 0.0,
    "server_patience": 3.0,
}
pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    with chat_api() as served:
        yield served


@pytest.mark.parametrize("engine", ["openai", "gemini"])
def test_what_is_censored_is_no_number_and_no_success_and_numbers_after_it_are(api, engine):
    api.always = censored_below(4)
    with stack(getattr(api, engine)(), **SETTINGS) as live:
        live.up(TASK)
        readings = live.play(0, 8)
        assert [each.censored for each in readings] == [True] * 3 + [False] * 6
        for each in readings[:3]:
            assert math.isnan(each.log_prob) and math.isnan(each.progress)
            assert math.isnan(each.reward) and not each.success
        assert {each.log_prob for each in readings[3:]} == {-1.0}
        # The window of three is full of numbers with the sixth reading, and held with the seventh.
        assert [each.success for each in readings] == [False] * 6 + [True] * 3
        live.wait(lambda: live.values("model").get("censored") == "true")
        told = live.values("model")
        assert told["backend"] == f"{engine} vision-1" and told["exact"] == "false"
        assert told["server"].startswith(api.url) and KEY not in str(live.statuses)
        assert not live.named(EpisodeEvent.STOPPED)


def test_too_many_questions_and_a_refusal_leave_the_node_alive(api):
    with stack(api.openai(), **SETTINGS) as live:
        live.up(TASK)
        live.play(0, 1)
        busy = plain(429, {"error": {"message": "slow down"}}, {"retry-after": "0.1"})
        api.replies.extend([busy, busy])
        live.play(2, 2)
        frames = [resize(picture(index), (24, 32)) for index in range(3)]
        assert live.readings[-1].log_prob == pytest.approx(
            expected(frames, [0.0, 0.5, 1.0], TASK), abs=1e-12
        )
        live.wait(lambda: live.named(EpisodeEvent.RECOVERED))
        assert "allows no more questions" in live.named(EpisodeEvent.FAULT)[0].detail

        api.replies.append(
            plain(200, {"choices": [{"finish_reason": "content_filter", "message": {}}]})
        )
        live.show(3)
        live.wait(lambda: live.named(EpisodeEvent.STOPPED))
        end = live.named(EpisodeEvent.STOPPED)[0]
        assert end.termination_reason == EpisodeEvent.REASON_MODEL_ERROR
        assert "refuses to answer for the content" in end.detail and "\n" not in end.detail
        assert live.state() == "active"
        assert live.reset().success
        before = len(live.readings)
        live.show(4)
        live.wait(lambda: len(live.readings) > before)
        assert np.isfinite(live.readings[-1].log_prob) and live.readings[-1].frames == 1
        assert KEY not in str(live.events)


def test_a_model_that_cannot_be_used_fails_configure_with_its_sentence(api):
    api.always = answer()
    with stack(api.openai(), **{**SETTINGS, "prompt_form": "raw"}) as live:
        live.set(instruction=TASK)
        assert not live.change("configure") and live.state() == "unconfigured"
        assert "set it to chat" in live.reward_node.failure and not api.asked
