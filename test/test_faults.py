"""Whatever fails in an episode has a defined end and event, and the next episode runs."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest
from action_msgs.msg import GoalStatus
from manager_processes import LOADING, processes
from manager_stack import NEVER, TASK, managed, until
from reward_stack import PATIENCE, ros, write_checkpoint

from topreward_ros.nodes.node_commands import node_command

INTERVAL = 1.0


@pytest.fixture(scope="module", autouse=True)
def context():
    with ros():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


# --- cameras, clock and scoring: nodes on threads --------------------------------------------


@pytest.fixture(scope="module")
def shared(model):
    with managed(
        model,
        cameras=2,
        instruction=TASK,
        camera_timeout=1.5,
        manager={"camera_patience": INTERVAL},
    ) as stack:
        yield stack


@pytest.fixture
def lab(shared):
    shared.film.silent.clear()
    shared.film.frozen.clear()
    if shared.manager.control.current is not None:
        shared.stop_it()
    shared.wait(lambda: not shared.manager.control.busy)
    shared.set(success_threshold=NEVER, on_clock_jump="restart", inbox_size=64)
    shared.linger(0.1)
    shared.told.clear()
    shared.feedback.clear()
    return shared


def running(lab):
    """Sends a goal and waits for its first reading; returns its handle."""
    handle = lab.goal()
    answer = handle.get_result_async()
    lab.wait(lambda: lab.feedback or answer.done())
    assert lab.feedback, answer.result().result
    return handle


def next_one_runs(lab) -> None:
    lab.feedback.clear()
    handle = running(lab)
    assert lab.stop_it(outcome="success").success
    result = lab.result(handle)[1]
    assert (result.termination_reason, result.outcome) == ("stopped", "success")
    assert result.readings > 0


def ended(lab, handle, reason: str):
    """The goal was aborted for this reason, and the event stream says the same."""
    status, result = lab.result(handle)
    assert status == GoalStatus.STATUS_ABORTED
    assert (result.termination_reason, result.outcome) == (reason, "unlabelled")
    event = lab.await_event("stopped", result.episode_id)
    assert event.termination_reason == reason and event.detail == result.detail
    return result


@pytest.mark.parametrize("lost", [[0], [1], [0, 1]], ids=["first", "second", "both"])
def test_a_silent_camera_is_a_fault_and_ends_the_episode_as_camera_lost(lab, lost):
    handle = running(lab)
    lab.film.silent.update(lab.topics[index] for index in lost)
    result = ended(lab, handle, "camera_lost")
    faults = lab.happened("fault", result.episode_id)
    assert len(faults) == len(lost)
    for index, fault in zip(lost, sorted(faults, key=lambda e: e.detail), strict=True):
        assert fault.termination_reason == "camera_lost" and lab.topics[index] in fault.detail
    lab.film.silent.clear()
    next_one_runs(lab)


def test_a_frozen_camera_is_lost_although_it_is_heard(lab):
    handle = running(lab)
    lab.film.freeze(lab.topics[1])
    ended(lab, handle, "camera_lost")
    (fault,) = lab.happened("fault")
    assert lab.topics[1] in fault.detail and "stands still" in fault.detail
    lab.film.frozen.clear()
    next_one_runs(lab)


def test_a_camera_that_comes_back_in_time_lets_the_episode_go_on(lab):
    lab.tune(camera_patience=30.0)
    handle = running(lab)
    lab.film.silent.add(lab.topics[0])
    fault = lab.await_event("fault")
    lab.film.silent.clear()
    back = lab.await_event("recovered", fault.episode_id)
    assert lab.topics[0] in back.detail
    count = len(lab.feedback)
    lab.wait(lambda: len(lab.feedback) > count)
    assert lab.manager.running() == fault.episode_id
    lab.cancel(handle)
    lab.result(handle)
    lab.tune(camera_patience=INTERVAL)


@pytest.mark.parametrize("policy", ["restart", "stop"])
def test_time_that_goes_back_ends_the_episode_as_clock_jump(lab, policy):
    lab.set(on_clock_jump=policy)
    handle = running(lab)
    lab.film.offset -= 1000.0  # as when a bag begins anew
    result = ended(lab, handle, "clock_jump")
    assert "went back" in result.detail
    next_one_runs(lab)
    started = {event.episode_id for event in lab.happened("started")}
    assert len(started) == len(lab.happened("started")) == 2


def test_each_pass_of_a_looping_bag_is_an_episode_where_nobody_asked_for_one(lab):
    lab.set(instruction=TASK)
    assert lab.change("activate")
    first = lab.await_event("started")
    for number in range(2):
        seen = lab.happened("started")[-1].episode_id
        lab.wait(lambda s=seen: lab.readings and lab.readings[-1].episode_id == s)
        lab.film.offset -= 1000.0
        lab.await_event("started", count=number + 2)
    lab.stop_it()
    lab.wait(lambda: len(lab.happened("stopped")) == 3)
    assert set(map(tuple, lab.stories().values())) == {("started", "stopped")}
    assert lab.await_event("stopped", first.episode_id).termination_reason == "clock_jump"


def test_scoring_that_cannot_keep_up_ends_the_episode_as_model_error(lab):
    lab.set(inbox_size=1)
    handle = running(lab)
    with lab.busy():
        result = ended(lab, handle, "model_error")
    assert "behind" in result.detail
    lab.set(inbox_size=64)
    next_one_runs(lab)


def test_memory_that_runs_out_in_scoring_ends_the_episode_as_model_error(lab):
    handle = running(lab)
    session = lab.reward_node.scoring._episode._session
    real = session.append

    def starve(frame, stamp):
        import numpy as np

        np.empty(1 << 55, np.uint8)  # really asks for more memory than there is
        real(frame, stamp)

    session.append = starve
    result = ended(lab, handle, "model_error")
    assert "MemoryError" in result.detail
    next_one_runs(lab)


# --- processes that are killed ---------------------------------------------------------------


def test_a_killed_reward_node_ends_the_episode_as_model_error_and_is_brought_up_again(
    model, tmp_path
):
    with processes(model, tmp_path) as lab:
        handle = running(lab)
        lab.end("reward_node", signal.SIGKILL)
        result = ended(lab, handle, "model_error")
        assert "did not answer" in result.detail
        fault = lab.await_event("fault", result.episode_id)
        assert fault.termination_reason == "model_error"
        answer = lab.begin()
        assert not answer.success and "not up" in answer.message
        lab.told.clear()
        lab.launch("reward_node")  # as launch does with respawn:=true
        lab.wait(lambda: lab.happened("recovered"), LOADING)
        next_one_runs(lab)
        assert lab.end("episode_manager", signal.SIGTERM) == 0
        assert lab.end("reward_node", signal.SIGTERM) == 0


def test_a_reward_node_that_is_back_before_it_was_missed_still_ends_the_episode(model, tmp_path):
    with processes(model, tmp_path, manager={"node_timeout": 60.0}) as lab:
        handle = running(lab)
        lab.told.clear()
        lab.end("reward_node", signal.SIGKILL)
        lab.launch("reward_node")
        lab.wait(lambda: lab.happened("stopped"), LOADING)
        result = ended(lab, handle, "model_error")
        assert "started anew" in result.detail
        lab.wait(lambda: lab.happened("recovered"), LOADING)
        next_one_runs(lab)


def test_a_manager_that_is_killed_and_started_again_takes_the_episode_over(model, tmp_path):
    with processes(model, tmp_path) as lab:
        running(lab)
        episode = lab.happened("started")[0].episode_id
        lab.end("episode_manager", signal.SIGKILL)
        lab.told.clear()
        lab.launch("episode_manager")
        taken = lab.await_event("recovered")
        assert taken.episode_id == episode and "taken over" in taken.detail
        lab.wait(lambda: lab.action.server_is_ready())
        lab.feedback.clear()
        result = lab.run_one(time_limit=1.0)[1]
        assert result.termination_reason == "timeout"
        lab.wait(lambda: lab.happened("stopped", result.episode_id))
        assert lab.await_event("stopped", episode).termination_reason == "preempted"
        assert lab.stories()[result.episode_id] == ["started", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_in_an_episode_ends_it_as_shutdown_with_its_result_and_exit_code_0(
    model, tmp_path, number
):
    actions = {
        "stop_actions": ["arm"],
        "arm.type": "trigger",
        "arm.target": "/arm_of_the_test/stop",
        "arm.when": ["shutdown"],
    }
    with processes(model, tmp_path, manager=actions) as lab:
        lab.robot.trigger("/arm_of_the_test/stop")
        handle = running(lab)
        answer = handle.get_result_async()
        lab.linger(0.2)
        assert lab.end("episode_manager", number) == 0
        lab.wait(answer.done)
        result = answer.result().result
        assert result.termination_reason == "shutdown" and result.stop_actions_done
        assert lab.robot.calls == [("/arm_of_the_test/stop", None)]
        assert lab.await_event("stopped", result.episode_id).termination_reason == "shutdown"
        lab.wait(lambda: lab.state() == "inactive")
        lab.launch("episode_manager")
        lab.wait(lambda: lab.told_by.get_publisher_count())
        next_one_runs(lab)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize("node", ["episode_manager", "reward_node"])
def test_a_signal_at_any_moment_of_a_nodes_start_ends_it_with_exit_code_0(tmp_path, node, number):
    """Without another node, too: nothing that is awaited may keep the manager."""
    for delay in (0.0, 0.1, 0.5, 1.5):
        log = tmp_path / f"{delay}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                node_command(node, {}, namespace="/nobody"),
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            until(lambda p=process: _handles_signals(p.pid) or p.poll() is not None)
            time.sleep(delay)
            process.send_signal(number)
            code = process.wait(PATIENCE)
        assert "Traceback" not in log.read_text(), log.read_text()
        assert code == 0


def _handles_signals(pid: int) -> bool:
    """Whether a process has come so far as to handle SIGTERM itself."""
    with open(f"/proc/{pid}/status") as status:
        caught = next(line for line in status if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) & (1 << (signal.SIGTERM - 1)))


def test_a_signal_while_a_stop_action_hangs_ends_the_manager_within_launchs_patience(
    model, tmp_path
):
    actions = {
        "stop_actions": ["arm"],
        "arm.type": "trigger",
        "arm.target": "/never/there",
        "arm.timeout": 60.0,
        "arm.when": ["timeout"],
    }
    with processes(model, tmp_path, manager=actions) as lab:
        lab.goal(time_limit=0.5)
        lab.await_event("stopped")
        before = time.monotonic()
        assert lab.end("episode_manager", signal.SIGTERM) == 0
        assert time.monotonic() - before < 8.0  # 4 s of patience, on a busy machine


def test_a_parameter_that_cannot_be_ends_the_process_with_1_and_one_sentence():
    command = node_command("episode_manager", {"on_second_goal": "queue"})
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .startswith("episode_manager: on_second_goal is 'queue'; expected preempt or refuse")
    )
