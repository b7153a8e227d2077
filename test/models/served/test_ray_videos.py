"""Videos that a server holds, loses and gets again: always the number of a session of one's own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from checkpoints import write_qwen3_vl

from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.contract import ModelError
from topreward_ros.models.served.ray_serve.fields import WireError
from topreward_ros.models.served.ray_serve.served_model import describe
from topreward_ros.models.served.ray_serve.session import RaySession
from topreward_ros.models.served.ray_serve.update import pack_update, unpack_update
from topreward_ros.models.server_health import ServerHealth
from topreward_ros.serving.held_videos import HeldVideos, OtherModel

TASKS = ("open the drawer", "close it")
KEPT, FRAMES = 6, 46
SAME = 1e-10
"""nat of float64."""


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    model = write_qwen3_vl(tmp_path_factory.mktemp("tiny"))

    def load(sessions: int = 1):
        return load_scorer(
            str(model), device="cpu", dtype="float64", frame_size=(32, 32), max_pairs=KEPT,
            sessions=sessions,
        )  # fmt: skip

    return load


def video(seed: int):
    return np.random.default_rng(seed).integers(0, 256, (FRAMES, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def alone(load):
    scorer, found = load(), []
    for seed in range(3):
        session = scorer.start()
        found.append([])
        for index, frame in enumerate(video(seed)):
            session.append(frame, index / 2)
            found[-1].append(session.log_probs(TASKS))
    return np.array(found)


class Server:
    """Holds videos; what goes in and out has been bytes."""

    def __init__(self, scorer) -> None:
        self.scorer, self.held = scorer, HeldVideos(scorer)
        self.model, self.health, self.sent = self.held.model, ServerHealth("http://here"), []

    def ask(self, update):
        """Answers."""
        self.sent.append(update)
        answer = self.held.answer(unpack_update(pack_update(update), self.model))
        self.held.settle(update.episode)
        return answer

    def restart(self) -> None:
        """Forgets all videos."""
        self.held = HeldVideos(self.scorer)

    def session(self) -> RaySession:
        """A robot's episode."""
        return RaySession(self.model, lambda update: self.ask(update), self.health)


@pytest.mark.slow
def test_a_server_that_forgets_at_any_moment_costs_one_resend_and_no_nat(load, alone):
    server = Server(load())
    for moment in range(1, FRAMES):
        session, found, frames = server.session(), [], video(0)
        for index in range(min(moment + 3, FRAMES)):
            session.append(frames[index], index / 2)
            if index == moment:
                server.restart()
            if index >= moment - 1:
                found.append(session.log_probs(TASKS))
        assert np.abs(found - alone[0, moment - 1 : moment - 1 + len(found)]).max() <= SAME
    assert server.health.resent == FRAMES - 1
    assert {len(update.stamps) for update in server.sent if update.numbers is None} == {1}


@pytest.mark.slow
def test_robots_that_share_too_few_sessions_send_again_and_never_mix(load, alone):
    server = Server(load(sessions=2))
    sessions, found = [server.session() for _ in range(3)], np.zeros_like(alone)
    videos = [video(seed) for seed in range(3)]
    for index in range(FRAMES):
        for robot in np.random.default_rng(index).permutation(3):
            sessions[robot].append(videos[robot][index], index / 2)
            found[robot, index] = sessions[robot].log_probs(TASKS)
    assert np.abs(found - alone).max() <= SAME
    counts = server.held.counts()
    assert counts["given_up"] > 0 and counts["videos"] == counts["sessions"] == 2
    assert server.health.resent == counts["resends_asked"] > 0
    assert counts["updates"] == 3 * FRAMES and counts["model_seconds"] > 0


@pytest.mark.slow
def test_two_robots_with_one_episode_id_do_not_mix(load, alone):
    server = Server(load(sessions=2))
    sessions, videos = [server.session() for _ in range(2)], [video(seed) for seed in range(2)]
    for session in sessions:
        session._episode = "00" * 16  # they draw it, 128 bits; here the dice are loaded
    for index in range(FRAMES):
        for robot in range(2):
            sessions[robot].append(videos[robot][index], index / 2)
            found = sessions[robot].log_probs(TASKS)
            assert np.abs(found - alone[robot, index]).max() <= SAME


def test_an_update_whose_answer_was_lost_may_come_again(load, alone):
    server, frames = Server(load()), video(0)
    session = server.session()
    session._ask = lambda update: (server.ask(update), server.ask(update))[1]
    for index, frame in enumerate(frames):
        session.append(frame, index / 2)
        assert np.abs(session.log_probs(TASKS) - alone[0, index]).max() <= SAME
    assert server.health.resent == 0


def test_questions_that_were_never_answered_do_not_lose_frames(load, alone):
    server, frames = Server(load()), video(0)
    session, away = server.session(), {7, 8, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30}
    for index, frame in enumerate(frames):
        session.append(frame, index / 2)
        answers = server.ask
        if index in away:
            server.ask = lambda _: (_ for _ in ()).throw(ModelError("away"))
            with pytest.raises(ModelError, match="away"):
                session.log_probs(TASKS)
            server.ask = answers
        else:
            assert np.abs(session.log_probs(TASKS) - alone[0, index]).max() <= SAME
    most = (KEPT + 1) * 2
    assert max(len(update.stamps) for update in server.sent) <= most
    session._forget()
    assert np.abs(session.log_probs(TASKS) - alone[0, -1]).max() <= SAME


def test_damaged_frames_and_other_models_are_refused(load):
    server, frames = Server(load()), video(0)
    session = server.session()
    session.append(frames[0], 0.0)
    session.log_probs(TASKS)
    session.append(frames[1], 0.5)
    update = session._newest(TASKS)
    with pytest.raises(WireError, match="damaged"):
        server.ask(dataclasses.replace(update, pictures=255 - update.pictures))
    assert session.log_probs(TASKS).shape == (2,)  # after all of it came again
    for name, value in (("fingerprint", "other"), ("backend", "ray, nf4"), ("max_pairs", 8)):
        with pytest.raises(OtherModel, match="meant for"):
            server.ask(dataclasses.replace(update, **{name: value}))
    whole = session._whole(TASKS)
    for wrong in ({"numbers": (1,)}, {"frames": 40}, {"stamps": (0.5, 0.0)}, {"numbers": (0, 1)}):
        server.restart()
        with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
            server.ask(dataclasses.replace(whole, **wrong))
    assert np.isfinite(session.log_probs(TASKS)).all()


def test_a_session_takes_what_a_local_one_takes(load):
    session = Server(load()).session()
    with pytest.raises(ValueError, match="no frame"):
        session.log_probs(TASKS)
    with pytest.raises(ValueError, match="shape"):
        session.append(np.zeros((4, 4, 3), np.uint8), 0.0)
    frame = video(0)[0]
    session.append(frame, 1.0)
    with pytest.raises(ValueError, match="must grow"):
        session.append(frame, 1.0)
    assert session.frames == 1 and session.log_probs([]).shape == (0,)
    assert abs(session.log_prob(TASKS[0]) - session.log_probs(TASKS)[0]) <= SAME
    with pytest.raises(ValueError, match="tokens"):
        session.log_probs(["go " * 1300])


def test_a_server_says_what_its_scorer_is_worth(load):
    scorer = load()
    model = describe(scorer, KEPT)
    assert model.backend.name == "ray, local float64" and model.backend.resend
    assert (model.backend.exact, model.backend.flat) == (True, True)


def test_a_video_that_was_lost_is_told_once_also_where_it_is_lost_each_time(load):
    server, frames = Server(load()), video(0)
    session = server.session()
    for index, frame in enumerate(frames[:8]):
        if index in (3, 4, 5):
            server.restart()
        session.append(frame, index / 2)
        session.log_probs(TASKS)
        server.health.answered(0.01)  # as `Patience` tells it
    assert server.health.resent == 3
    assert [news.lost for news in server.health.news()] == [True, False]


def test_the_video_asked_about_longest_ago_is_given_up_and_no_other(load, alone):
    server = Server(load(sessions=2))
    first, second, third = (server.session() for _ in range(3))

    def ask(session, robot: int, index: int) -> int:
        """Returns how often a video was sent again for it."""
        before = server.health.resent
        session.append(video(robot)[index], index / 2)
        assert np.abs(session.log_probs(TASKS) - alone[robot, index]).max() <= SAME
        return server.health.resent - before

    assert [ask(first, 0, 0), ask(second, 1, 0), ask(first, 0, 1), ask(third, 2, 0)] == [0] * 4
    assert [ask(first, 0, 2), ask(third, 2, 1), ask(second, 1, 1)] == [0, 0, 1]
