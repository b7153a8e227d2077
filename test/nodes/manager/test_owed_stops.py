"""Stop actions that were cut off by the death of the manager: nothing that is owed is forgotten."""

from __future__ import annotations

import json
import resource
import signal
import time
from pathlib import Path

import pytest
from manager_processes import processes
from manager_stack import TASK, hanging_trigger, managed

from topreward_msgs.srv import StartEpisode, StopEpisode
from topreward_ros.nodes.manager.owed_stops import OwedStop, OwedStops, ago, owed_path

pytestmark = pytest.mark.usefixtures("context")
ARM = "/owed_arm/stop"
ACTIONS = {
    "stop_actions": ["first", "arm", "last"],
    "first.type": "trigger",
    "first.target": "/owed_arm/first",
    "arm.type": "trigger",
    "arm.target": ARM,
    "arm.timeout": 3.0,
    "last.type": "trigger",
    "last.target": "/owed_arm/last",
}


def owed(episode_id: str = "e1", **changed: object) -> OwedStop:
    given = {
        "episode_id": episode_id, "instruction": TASK, "reason": "success", "outcome": "success",
        "ended": time.time(), "actions": ("arm",), "deactivate": False,
    }  # fmt: skip
    return OwedStop(**{**given, **changed})


def test_a_manager_that_is_killed_while_a_stop_action_hangs_runs_it_when_it_is_started_anew(
    model, tmp_path
):
    home = {"ROS_HOME": str(tmp_path)}
    with processes(model, tmp_path, manager=ACTIONS, environment=home) as lab:
        lab.robot.trigger("/owed_arm/first")
        episode = lab.begin()
        assert episode.success, episode.message
        lab.wait(lambda: lab.readings)
        client = lab.node.create_client(StopEpisode, f"{lab.manager_name}/stop_episode")
        lab.wait(client.service_is_ready)
        with hanging_trigger(ARM) as calls:
            client.call_async(StopEpisode.Request(run_stop_actions=True))
            lab.wait(lambda: calls)
            assert lab.end("episode_manager", signal.SIGKILL) == -signal.SIGKILL
        lab.told.clear()
        lab.robot.trigger(ARM)
        lab.robot.trigger("/owed_arm/last")

        lab.launch("episode_manager")
        fault = lab.await_event("fault", episode.episode_id)
        assert "last process" in fault.detail and "arm, last" in fault.detail
        lab.meet()
        assert lab.ask(StartEpisode, min_duration=-1.0).success
        lab.wait(lambda: lab.happened("started"))
        # Both ran, and before anything else started; the one that was done did not run again.
        assert [name for name, _ in lab.robot.calls] == ["/owed_arm/first", ARM, "/owed_arm/last"]
        kinds = [event.event for event in lab.told]
        assert kinds[: kinds.index("started") + 1].count("stop_action") == 2
        assert not lab.happened("recovered", episode.episode_id), "it was taken over once more"
        assert not lab.happened("stopped", episode.episode_id), "it ended twice"
    assert json.loads(next(tmp_path.glob("topreward/owed_stops/*")).read_text()) == []


def test_a_disk_that_becomes_full_is_told_and_stops_nothing(model, tmp_path):
    """For both processes: neither the log nor what is owed can be written any more."""
    with processes(model, tmp_path, manager=ACTIONS) as lab:
        for name in ("/owed_arm/first", ARM, "/owed_arm/last"):
            lab.robot.trigger(name)
        assert lab.begin().success and lab.stop_it(run_stop_actions=True).success  # all are found
        for process in lab.processes.values():
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        lab.told.clear()
        lab.robot.calls.clear()
        for _ in range(2):
            lab.readings.clear()
            assert lab.begin().success
            lab.wait(lambda: lab.readings)
            assert lab.stop_it(run_stop_actions=True).success
        assert len(lab.robot.calls) == 6
        lab.wait(lambda: len(lab.happened("stopped")) == 2)
        (fault,) = lab.happened("fault")
        assert "cannot be written (File too large)" in fault.detail


def leave(name: str, *stops: OwedStop) -> Path:
    """Leaves what a killed manager would."""
    path = owed_path(name)
    path.unlink(missing_ok=True)
    kept = OwedStops(path)
    for stop in stops:
        kept.owe(stop)
    return path


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        (owed(ended=time.time() - 7300), "longer than owed_patience"),
        (owed(actions=("gone",)), "no stop action has this name"),
    ],
    ids=["old", "unknown"],
)
def test_what_cannot_be_run_any_more_is_reported_loudly_and_once(model, stop, said):
    given = {"stop_actions": ["arm"], "arm.type": "trigger", "arm.target": ARM}
    with managed(model, instruction=TASK, manager=given) as lab:
        lab.robot.trigger(ARM)
        lab.end_manager()
        lab.told.clear()
        path = leave(lab.manager_name, stop)
        lab.start_manager()
        lab.ready()
        event = lab.await_event("stop_action", "e1")
        assert said in event.detail and "NOT run" in event.detail
        assert lab.happened("fault", "e1")
        assert list(lab.manager._outputs.unstopped) == list(stop.actions)
        assert not lab.robot.calls
        lab.wait(lambda: not lab.manager.control.busy)
        assert json.loads(path.read_text()) == []


@pytest.mark.parametrize(
    "content",
    [b"{", b"[1]", b'[{"episode_id": 3}]', b"\xff", b"[" * 100_000, b" " * 2**21, b"17", b"null"],
)
def test_a_file_that_cannot_be_read_is_said_and_stops_nothing(tmp_path, content):
    path = tmp_path / "owed.json"
    path.write_bytes(content)
    stops = OwedStops(path)
    assert stops.former == [] and str(path) in stops.problem and "robot" in stops.problem
    stops.owe(owed())
    assert not stops.problem and OwedStops(path).former[0].actions == ("arm",)


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "topreward").write_text("a file where a folder is wanted")
    stops = OwedStops(tmp_path / "topreward" / "owed.json")
    stops.owe(owed())
    assert "cannot be written" in stops.problem and "forgotten" in stops.problem


def test_an_end_is_owed_until_all_of_it_is_done(tmp_path):
    path = tmp_path / "deep" / "owed.json"
    stops = OwedStops(path)
    stops.owe(owed("a", actions=("arm", "hand")))
    stops.owe(owed("b", actions=(), deactivate=True))
    stops.owe(owed("c", actions=(), deactivate=False))  # nothing follows it
    assert [one.episode_id for one in OwedStops(path).former] == ["a", "b"]
    stops.done("a", "arm")
    assert OwedStops(path).former[0].actions == ("hand",)
    stops.settled("a")
    stops.settled("b")
    assert OwedStops(path).former == [] and [one.name for one in path.parent.iterdir()] == [
        "owed.json"
    ]


def test_managers_of_other_names_and_domains_owe_in_other_files(monkeypatch, tmp_path):
    monkeypatch.setenv("ROS_HOME", str(tmp_path))
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    here = owed_path("/lab/episode_manager")
    assert here.is_relative_to(tmp_path) and owed_path("/lab/other") != here
    monkeypatch.setenv("ROS_DOMAIN_ID", "8")
    assert owed_path("/lab/episode_manager") != here


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s ago"), (119, "119 s ago"), (7300, "2 h ago"), (9e5, "10 days ago")],
)
def test_times_are_said_in_units_that_people_use(seconds, said):
    assert ago(seconds) == said
