"""The thread with the model: order, merging, bounds and failures, with a real small model."""

from __future__ import annotations

import threading
import time

import pytest
from reward_stack import PATIENCE, picture

from topreward_ros.episode import ClockJump, Episode
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.contract import ModelError
from topreward_ros.nodes.reward.scoring_exchange import Failed, QueuedFrame, Scored
from topreward_ros.nodes.reward.scoring_thread import ScoringThread
from topreward_ros.video.resizing import resize

TASK = "put the red cube on the disc"


class Thread(ScoringThread):
    """Collects every result, and can be kept busy."""

    def __init__(self) -> None:
        self.woken = threading.Event()
        self.results: list[Scored | Failed] = []
        super().__init__(self.woken.set)

    def keep_busy(self) -> threading.Event:
        """Occupies the thread until the returned event is set."""
        began, go_on = threading.Event(), threading.Event()
        self._call(lambda: (began.set(), go_on.wait()))
        assert began.wait(PATIENCE)
        return go_on

    def until(self, count: int) -> list[Scored | Failed]:
        """Waits for that many results; returns all of them."""
        end = time.monotonic() + PATIENCE
        while len(self.results) < count:
            assert self.woken.wait(end - time.monotonic()), "no result came"
            self.woken.clear()
            self.results += self.collect()
        return self.results


@pytest.fixture
def scoring(model):
    thread = Thread()
    thread.load(lambda: load_scorer(str(model), device="cpu")).result(PATIENCE)
    yield thread
    assert thread.close(PATIENCE)


def frame(index: int, size: int = 64, stamp: float | None = None) -> QueuedFrame:
    image = resize(picture(index), (size, size))
    now = time.monotonic()
    return QueuedFrame(image, index / 2 if stamp is None else stamp, now, now, index)


def episode(scorer) -> Episode:
    return Episode(scorer, TASK)


def test_frames_are_scored_in_order_and_answered_with_the_newest(scoring):
    scoring.start("a", episode)
    for index in range(3):
        assert scoring.add(frame(index), 10)
        results = scoring.until(index + 1)
    assert [r.reading.frames for r in results] == [1, 2, 3]
    assert scoring.merged == 0
    assert [r.newest.header for r in results] == [0, 1, 2]
    assert {r.episode_id for r in results} == {"a"}


def test_frames_that_waited_are_all_seen_and_scored_once_with_the_same_value(scoring, model):
    scoring.start("a", episode)
    go_on = scoring.keep_busy()
    for index in range(5):
        scoring.add(frame(index), 10)
    assert scoring.pending == 5
    go_on.set()
    (result,) = scoring.until(1)
    alone = Episode(load_scorer(str(model), device="cpu"), TASK)
    for index in range(5):
        alone.add_frame(frame(index).image, index / 2)
    assert result.reading.frames == 5
    assert scoring.merged == 4
    assert result.reading.log_prob == pytest.approx(alone.update().log_prob, abs=1e-4)


def test_a_reading_is_laid_out_before_the_work_that_it_did_not_need(scoring):
    found = []

    class Noting(Episode):
        def settle(self) -> None:
            found.append([result.reading.frames for result in scoring.collect()])
            super().settle()

    scoring.start("a", lambda scorer: Noting(scorer, TASK))
    for index in range(2):
        scoring.add(frame(index), 10)
        scoring._call(lambda: None).result(PATIENCE)
    assert found == [[1], [2]]


def test_a_full_inbox_says_no_and_keeps_what_it_has(scoring):
    scoring.start("a", episode)
    go_on = scoring.keep_busy()
    assert [scoring.add(frame(index), 3) for index in range(5)] == [True] * 3 + [False] * 2
    go_on.set()
    assert scoring.until(1)[0].reading.frames == 3


def test_a_stopped_episode_drops_its_waiting_frames(scoring):
    scoring.start("a", episode)
    go_on = scoring.keep_busy()
    scoring.add(frame(0), 10)
    scoring.stop()
    assert scoring.pending == 0
    scoring.add(frame(1), 10)  # belongs to no episode
    scoring.start("b", episode)
    scoring.add(frame(2), 10)
    go_on.set()
    (result,) = scoring.until(1)
    assert (result.episode_id, result.reading.frames, result.newest.header) == ("b", 1, 2)


def test_an_instruction_holds_from_the_next_frame_on(scoring):
    scoring.start("a", episode)
    go_on = scoring.keep_busy()
    scoring.add(frame(0), 10)
    scoring.set_instruction("open the drawer")
    scoring.add(frame(1), 10)
    go_on.set()
    results = scoring.until(2)
    assert [r.reading.instruction for r in results] == [TASK, "open the drawer"]


def test_every_change_of_the_instruction_is_a_baseline_of_its_own_and_an_episode_starts_with_0(
    scoring,
):
    scoring.start("a", episode)
    go_on = scoring.keep_busy()
    scoring.add(frame(0), 10)
    told = [scoring.set_instruction(text) for text in ("open the drawer", TASK)]
    scoring.add(frame(1), 10)
    go_on.set()
    results = scoring.until(2)
    assert [r.reading.instruction for r in results] == [TASK, TASK]
    assert [r.baseline for r in results] == [0, told[-1]] and told == [1, 2]
    scoring.start("b", episode)
    scoring.add(frame(0), 10)
    assert scoring.until(3)[2].baseline == 0


@pytest.mark.parametrize(
    ("bad", "kind"), [(frame(1, size=32), ValueError), (frame(1, stamp=-1.0), ClockJump)]
)
def test_a_frame_that_cannot_be_scored_ends_the_episode_and_the_next_one_runs(scoring, bad, kind):
    scoring.start("a", episode)
    scoring.add(frame(0), 10)
    scoring.until(1)
    scoring.add(bad, 10)
    failed = scoring.until(2)[1]
    assert isinstance(failed, Failed) and issubclass(failed.kind, kind)
    assert failed.message and "Traceback" in failed.trace
    scoring.add(frame(2), 10)  # too late for "a"
    scoring.start("b", episode)
    scoring.add(frame(3), 10)
    assert scoring.until(3)[2].episode_id == "b"


def test_an_episode_that_cannot_start_is_a_failure_of_its_own(scoring):
    scoring.start("a", lambda scorer: Episode(scorer, ""))
    failed = scoring.until(1)[0]
    assert isinstance(failed, Failed) and failed.episode_id == "a"


def test_a_model_that_cannot_be_loaded_raises_at_the_caller_and_another_can_be(scoring, model):
    with pytest.raises(ModelError, match="no model at"):
        scoring.load(lambda: load_scorer("nothing here")).result(PATIENCE)
    scoring.load(lambda: load_scorer(str(model), device="cpu")).result(PATIENCE)
    scoring.start("a", episode)
    scoring.add(frame(0), 10)
    assert scoring.until(1)


def test_only_the_scoring_thread_touches_the_model(model):
    thread, touched = Thread(), set()

    def noting(function):
        def noted(*arguments):
            touched.add(threading.current_thread().name)
            return function(*arguments)

        return noted

    scorer = thread.load(noting(lambda: load_scorer(str(model), device="cpu"))).result(PATIENCE)
    scorer.start = noting(scorer.start)
    thread.start("a", noting(episode))
    thread.add(frame(0), 10)
    thread.until(1)
    thread.unload().result(PATIENCE)
    assert touched == {"scoring"}
    assert thread.close(PATIENCE)


def test_unloading_gives_the_model_back(scoring):
    import gc
    import weakref

    scorer = weakref.ref(scoring._scorer)
    scoring.start("a", episode)
    scoring.add(frame(0), 10)
    scoring.until(1)
    scoring.unload().result(PATIENCE)
    gc.collect()
    assert scorer() is None


def test_closing_a_busy_thread_says_so():
    thread = Thread()
    go_on = thread.keep_busy()
    assert not thread.close(0.05)
    go_on.set()
    assert thread.close(PATIENCE)
