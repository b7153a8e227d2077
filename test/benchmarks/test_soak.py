"""A short soak: an episode of every kind and a few more, none lost, doubled or unaccounted for."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from reward_stack import write_checkpoint

from benchmarks import soak
from benchmarks.results import Results
from benchmarks.soak_account import Figures, Provoked, plot


@pytest.mark.slow
def test_no_episode_of_a_soak_is_lost_doubled_or_unaccounted_for_and_no_memory_grows(tmp_path):
    model = write_checkpoint(tmp_path / "random")
    figures = soak.run(40, seed=1, model=model, log=tmp_path)
    assert figures.growth.keys() == {"reward_node", "episode_manager"}
    assert figures.sound, (figures.wrong, figures.growth)
    assert figures.episodes >= 40 and len(figures.reasons) >= 10
    assert figures.events.keys() == soak.KINDS.keys()
    assert figures.events["killed"] == {
        "started": 1, "fault": 1, "stopped": 1, "stop_action": 1, "recovered": 1
    }  # fmt: skip


# --- the account -----------------------------------------------------------------------------

TIMEOUT = Provoked("timeout", "timeout", ("started", "stopped", "stop_action"))
LOST = Provoked("camera_lost", "camera_lost", ("started", "fault", "stopped"))


def told(episode: str, *events: str, reason: str = "timeout") -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            event=event, episode_id=episode, termination_reason=reason if event == "stopped" else ""
        )
        for event in events
    ]


def accounted(*events: SimpleNamespace, apart=(), stop_calls: int = 1, **provoked) -> Figures:
    """Figures of one timeout and what is given, with memory that was measured and is flat."""
    figures = Figures(start_ms=[10.0] * 20, memory_mib={"node": [[100.0] * 30]})
    events = (*told("a", "started", "stopped", "stop_action"), *events)
    figures.account({"a": TIMEOUT, **provoked}, apart, events, stop_calls)
    return figures


def test_what_was_provoked_and_told_is_all_accounted_for():
    figures = accounted(
        *told("b", "started", "fault", "stopped", reason="camera_lost"),
        *told("", "recovered"),
        b=LOST,
        apart=[("killed", "recovered")],
    )
    assert figures.passed and not figures.wrong
    assert figures.episodes == 2 and figures.reasons == {"timeout": 1, "camera_lost": 1}
    assert figures.events["camera_lost"] == {"started": 1, "fault": 1, "stopped": 1}
    assert figures.events["killed"] == {"recovered": 1}


@pytest.mark.parametrize(
    ("figures", "names"),
    [
        (accounted(*told("b", "started", "fault"), b=LOST), ["lost", "unaccounted"]),
        (accounted(b=LOST), ["lost"]),
        (accounted(*told("a", "stopped")), ["doubled", "unaccounted"]),
        (accounted(*told("b", "started", "fault", "stopped"), b=LOST), ["unexpected"]),
        (accounted(*told("b", "started", "stopped")), ["unaccounted"]),
        (accounted(*told("a", "fault")), ["unaccounted"]),
        (accounted(*told("", "fault")), ["unaccounted"]),
        (accounted(apart=[("killed", "recovered")]), ["unaccounted"]),
        (accounted(stop_calls=2), ["unaccounted"]),
    ],
    ids=["no end", "no event", "two ends", "another end", "unasked", "a fault too many",
         "a fault of nothing", "no recovery", "a stop too many"],
)  # fmt: skip
def test_whatever_is_wrong_is_counted(figures, names):
    assert not figures.sound
    found = [n for n in ("lost", "doubled", "unexpected", "unaccounted") if getattr(figures, n)]
    assert found == names


@pytest.mark.parametrize(
    ("lives", "growth"),
    [
        ([[100.0] * 10 + [110.0] * 20], 0.0),
        ([[100.0] * 29 + [103.0] * 11], 0.03),
        ([[100.0] * 20 + [103.0] * 10, [100.0] * 30], 0.03),
        ([[50.0] * 5, [100.0] * 30], 0.0),
    ],
    ids=["settles", "grows", "grew in a former life", "was killed"],
)
def test_memory_is_compared_within_each_life_of_a_process(lives, growth):
    figures = Figures(start_ms=[1.0], memory_mib={"node": lives})
    assert figures.growth["node"] == pytest.approx(growth)
    assert figures.passed == (growth == 0.0)


def test_memory_that_was_not_measured_and_late_starts_do_not_pass(tmp_path):
    flat = [[100.0] * 40]
    assert not Figures(start_ms=[1.0], memory_mib={"node": flat, "other": [[100.0] * 29]}).sound
    late = Figures(start_ms=[1.0] * 90 + [51.0] * 10, memory_mib={"node": flat})
    assert late.sound and not late.passed
    assert Figures(start_ms=[1.0] * 96 + [51.0] * 4, memory_mib={"node": flat}).passed
    assert not Figures(memory_mib={"node": flat}).passed
    plot(late, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").stat().st_size > 1000


class Stuck:
    """A lab whose episodes never end."""

    def __init__(self) -> None:
        self.processes = {}
        self.told = []
        self.readings = []
        self.robot = SimpleNamespace(calls=[])
        self.film = SimpleNamespace(silent=set())
        self.begin = lambda _: SimpleNamespace(success=True, episode_id="x", message="")
        self.set = self.linger = self.happened = lambda *_, **__: []
        self.stop_it = self.goal = lambda **_: None

    def wait(self, condition, seconds: float = 0.0) -> None:
        """Has no patience."""
        assert condition(), f"not within {seconds} s"

    def result(self, handle, seconds: float) -> None:
        """Waits for a goal in vain."""
        self.wait(lambda: handle, seconds)


def test_what_never_ends_is_lost_and_no_soak_waits_for_it_for_ever():
    figures = soak.Soak(Stuck(), seed=0, patience=0.1).run(300)
    assert len(figures.lost) == soak.LOST_TOO_MANY
    assert figures.lost[0].startswith("killed, after 0 episodes: not within 0.1 s")
    assert not figures.passed


def test_a_run_stores_its_table_numbers_and_files(tmp_path):
    results = Results()
    soak.report(results, accounted(stop_calls=2))
    results.keep("more.txt", lambda path: path.write_text("more"))
    results.store(tmp_path / "output")
    stored = json.loads((tmp_path / "output" / "figures.json").read_text())["figures"]
    figure = next(one for one in stored if one["name"] == "not accounted for")
    assert figure["value"] == 1 and figure["goal"] == "<= 0"
    assert "start of an episode, p95" in (tmp_path / "output" / "table.txt").read_text()
    assert (tmp_path / "output" / "more.txt").read_text() == "more"
