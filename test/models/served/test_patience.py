"""How long an episode waits for a server, and what is told of it."""

from __future__ import annotations

import threading
import time

import pytest

from topreward_ros.models.contract import ModelError
from topreward_ros.models.served.patience import Patience, ServerAway, ServerLost
from topreward_ros.models.server_health import News, ServerHealth

HERE = "http://gpu:8000"


class Server:
    """Answers after it was away a number of times."""

    def __init__(self, away: float, pause: float = 0.0) -> None:
        self.away, self.pause, self.limits = away, pause, []

    def __call__(self, limit: float) -> str:
        """Answers, or not."""
        self.limits.append(limit)
        if len(self.limits) <= self.away:
            raise ServerAway("refuses the connection", self.pause)
        return "here"


def test_a_server_that_comes_back_costs_one_loss_and_one_return():
    health = ServerHealth(HERE)
    patience = Patience(health, 10.0)
    assert patience.insist(Server(0)) == "here" and health.news() == []
    assert patience.insist(Server(2)) == "here"
    assert health.news() == [
        News(True, f"The server {HERE} refuses the connection."),
        News(False, f"The server {HERE} answers again."),
    ]
    assert health.trouble == "" and health.news() == []
    middle, high = health.percentiles()
    assert 0.0 <= middle <= high < 1.0


def test_a_server_that_stays_away_is_given_up_after_the_patience_and_not_before():
    health = ServerHealth(HERE)
    began = time.monotonic()
    with pytest.raises(ServerLost, match=r"no answer for 2 s \(server_patience\)") as lost:
        Patience(health, 2.0).insist(server := Server(float("inf")))
    assert isinstance(lost.value, ModelError) and HERE in str(lost.value)
    assert time.monotonic() - began >= 1.0 and len(server.limits) >= 2
    assert max(server.limits) <= 2.0, "no attempt may outlast the patience"
    assert health.trouble and [news.lost for news in health.news()] == [True]


def test_a_server_that_asks_to_be_left_alone_for_longer_than_there_is_patience_is_given_up():
    server = Server(float("inf"), pause=60.0)
    with pytest.raises(ServerLost):
        Patience(ServerHealth(HERE), 0.3).insist(server)
    assert len(server.limits) == 1


def test_an_attempt_that_had_no_time_left_hides_nothing_of_what_the_server_said():
    answers = iter([ServerAway("is in trouble")])

    def ask(limit: float) -> str:
        raise next(answers, ServerAway(f"gave no answer within {limit:.1f} s", silent=True))

    with pytest.raises(ServerLost, match="is in trouble"):
        Patience(ServerHealth(HERE), 0.3).insist(ask)
    answers = iter([ServerAway("is in trouble")])
    with pytest.raises(ServerLost, match=r"gave no answer within 0\.1 s"):  # it had its time
        Patience(ServerHealth(HERE), 0.3, longest_attempt=0.1).insist(ask)


def test_nobody_waits_for_an_answer_that_nobody_needs():
    health = ServerHealth(HERE)
    threading.Timer(0.3, health.release.set).start()
    with pytest.raises(ServerLost, match="nobody waits"):
        Patience(health, 3600.0).insist(Server(float("inf")))


def test_a_refusal_is_no_absence():
    def refuse(_: float) -> str:
        raise ModelError("The key is wrong.")

    health = ServerHealth(HERE)
    with pytest.raises(ModelError, match="key"):
        Patience(health, 10.0).insist(refuse)
    assert not health.news()
