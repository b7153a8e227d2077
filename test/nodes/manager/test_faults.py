"""Whatever fails in an episode has a defined end and event, and the next episode runs.

Everything is provoked from outside, in processes that run as they do on a robot.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from action_msgs.msg import GoalStatus
from manager_processes import LOADING, processes
from manager_stack import ALWAYS, NEVER, TASK, until
from reward_stack import PATIENCE
from std_msgs.msg import String

from topreward_ros.nodes.manager.episode_manager import END_PATIENCE
from topreward_ros.nodes.running.node_commands import node_command

INTERVAL = 1.0
LONG_TASK = "🤖" * 250
"""A task that costs time and memory: of about a thousand tokens, and just short enough."""
UNASKABLE = "🤖" * 1000
"""A valid text whose question has more tokens than scoring takes, which it finds out itself."""
MARGIN = 6 * 2**20
"""Bytes that a starved process may still take; a question of `LONG_TASK` needs thrice as many."""
ARM = "/arm_of_the_test/stop"
HANGING_ARM = f"""
import os, sys, time
import rclpy
from std_srvs.srv import Trigger

def stop(_, response):
    while os.path.exists(sys.argv[1]):
        time.sleep(0.02)
    response.success = True
    return response

rclpy.init()
node = rclpy.create_node("arm")
service = node.create_service(Trigger, "{ARM}", stop)
rclpy.spin(node)
"""
MANAGER = {
    "camera_patience": INTERVAL,
    "stop_actions": ["absent", "arm"],
    "absent.type": "trigger",
    "absent.target": "/never/there",
    "absent.timeout": 0.3,
    "absent.retries": 0,
    "absent.when": ["canceled"],
    "arm.type": "trigger",
    "arm.target": ARM,
    "arm.timeout": 1.0,
    "arm.retries": 1,
    "arm.when": ["canceled", "shutdown"],
}
pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture(scope="module")
def shared(model, tmp_path_factory):
    """One pair of processes; what a test has killed is started again."""
    with processes(
        model,
        tmp_path_factory.mktemp("logs"),
        cameras=2,
        reward={"camera_timeout": 1.5},
        manager=MANAGER,
    ) as lab:
        yield lab


@pytest.fixture
def lab(shared):
    shared.film.silent.clear()
    shared.film.frozen.clear()
    shared.film.period, shared.film.step = 0.03, 0.25
    for name in ("reward_node", "episode_manager"):
        if name not in shared.processes or shared.processes[name].poll() is not None:
            shared.launch(name)
    shared.meet()
    shared.stop_it()
    shared.wait(lambda: shared.state() == "inactive", LOADING)
    shared.set(success_threshold=NEVER, on_clock_jump="restart", instruction=TASK)
    shared.set(inbox_size=64, sample_rate=2.0)
    shared.tune(camera_patience=INTERVAL)
    shared.linger(0.1)
    shared.told.clear()
    shared.feedback.clear()
    shared.robot.calls.clear()
    return shared


def running(lab, instruction: str = TASK):
    """Sends a goal and waits for its first reading; returns its handle."""
    handle = lab.goal(instruction=instruction)
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


# --- cameras and clock -----------------------------------------------------------------------


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
    assert lab.feedback[-1].episode_id == fault.episode_id
    assert not lab.happened("stopped")
    assert lab.stop_it().success
    assert lab.result(handle)[1].episode_id == fault.episode_id


def test_a_frozen_camera_ends_the_episode_without_a_label(lab):
    lab.set(success_threshold=ALWAYS, success_min_duration=4.0)
    handle = running(lab)
    lab.film.still.add(lab.topics[0])
    result = ended(lab, handle, "camera_frozen")
    assert result.outcome == "unlabelled" and "stayed frozen for" in result.detail
    lab.film.still.clear()
    lab.set(success_threshold=NEVER, success_min_duration=2.0)
    next_one_runs(lab)


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
    next_one_runs(lab)


# --- instruction and scoring -----------------------------------------------------------------


def test_an_instruction_that_changes_ends_the_episode_as_instruction_changed(lab):
    handle = running(lab)
    lab.instructions.publish(String(data="open the drawer"))
    result = ended(lab, handle, "instruction_changed")
    assert "open the drawer" in result.detail
    next_one_runs(lab)


def test_an_instruction_of_too_many_tokens_is_refused_and_the_episode_goes_on(lab):
    handle = running(lab)
    lab.instructions.publish(String(data=UNASKABLE))
    lab.wait(lambda: "at most 1000 bytes are taken" in lab.said("reward_node"))
    count = len(lab.feedback)
    lab.wait(lambda: len(lab.feedback) > count)
    lab.instructions.publish(String(data=TASK))  # latched: a node started anew would get the other
    assert not lab.happened("stopped")
    assert lab.stop_it().success
    assert lab.result(handle)[1].termination_reason == "stopped"
    assert "at most 1000 bytes are taken" in lab.set(instruction=UNASKABLE)[0]
    next_one_runs(lab)


def test_scoring_that_cannot_keep_up_ends_the_episode_as_model_error(lab):
    lab.set(inbox_size=16, sample_rate=20.0)
    lab.film.step = 0.05  # every picture is a frame, and 16 come while one score is computed
    handle = lab.goal(instruction=LONG_TASK)
    lab.film.period = 0.001
    result = ended(lab, handle, "model_error")
    assert "16 frames behind" in result.detail
    lab.film.period, lab.film.step = 0.03, 0.25
    lab.set(inbox_size=64, sample_rate=2.0)
    next_one_runs(lab)


def test_memory_that_runs_out_in_scoring_ends_the_episode_as_model_error(model, tmp_path):
    # Scores of all token pairs at once: what an episode takes is large blocks, and each of them
    # is asked of the system anew.
    blocks = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
    eager = {"attention": "eager"}
    with processes(model, tmp_path, reward=eager, environment=blocks, fresh=True) as lab:
        handle = running(lab, LONG_TASK)
        lab.film.period = 0.2  # DDS takes memory for each picture, and would end without it
        with starved(lab, lab.processes["reward_node"].pid):
            result = ended(lab, handle, "model_error")
        assert "Scoring failed with" in result.detail and "memory" in result.detail
        next_one_runs(lab)


@contextmanager
def starved(lab, pid: int):
    """Lets a process have no more memory than it has now, between two scores."""
    sizes = []
    lab.wait(lambda: sizes.append(_address_space(pid)) or len(sizes) >= 100)
    unlimited = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (min(sizes) + MARGIN, unlimited[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, unlimited)


def _address_space(pid: int) -> int:
    """Returns bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    return pages * resource.getpagesize()


# --- stop actions ----------------------------------------------------------------------------


def test_absent_and_hanging_stop_services_are_told_and_the_next_episode_runs(lab, tmp_path):
    """The hanging one is there and does not answer, until it goes on."""
    hangs = tmp_path / "hangs"
    command = [sys.executable, "-c", HANGING_ARM, str(hangs)]
    arm = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def is_done() -> bool:
        absent, arms = _canceled(lab)
        assert "FAILED" in absent.detail and "arm (trigger" in arms.detail
        return "is done" in arms.detail

    try:
        lab.wait(is_done)  # the manager has found it
        hangs.touch()
        absent, hanging = _canceled(lab)
        assert "FAILED" in absent.detail and "was not there within 0.3 s" in absent.detail
        assert "FAILED after 2" in hanging.detail and "did not answer within" in hanging.detail
        hangs.unlink()
        next_one_runs(lab)
        lab.wait(is_done)
    finally:
        arm.kill()
        arm.wait(PATIENCE)


def _canceled(lab):
    """Cancels an episode; returns the events of its stop actions."""
    lab.feedback.clear()
    handle = running(lab)
    lab.cancel(handle)
    status, result = lab.result(handle)
    assert status == GoalStatus.STATUS_CANCELED and result.termination_reason == "canceled"
    assert not result.stop_actions_done
    lab.wait(lambda: len(lab.happened("stop_action", result.episode_id)) == 2)
    return lab.happened("stop_action", result.episode_id)


# --- the reward node ends, is killed or hangs ------------------------------------------------


def test_a_reward_node_that_hangs_ends_the_episode_and_is_used_again_once_it_answers(lab):
    handle = running(lab)
    process = lab.processes["reward_node"]
    process.send_signal(signal.SIGSTOP)
    try:
        result = ended(lab, handle, "model_error")
    finally:
        process.send_signal(signal.SIGCONT)
    assert "did not answer" in result.detail
    assert lab.await_event("fault", result.episode_id).termination_reason == "model_error"
    lab.await_event("recovered")
    next_one_runs(lab)


def test_a_killed_reward_node_ends_the_episode_as_model_error_and_is_brought_up_again(lab):
    handle = running(lab)
    lab.end("reward_node", signal.SIGKILL)
    result = ended(lab, handle, "model_error")
    assert "did not answer" in result.detail
    fault = lab.await_event("fault", result.episode_id)
    assert fault.termination_reason == "model_error"
    is_brought_up_again(lab)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_to_the_reward_node_ends_the_episode_as_shutdown_beside_a_manager(lab, number):
    handle = running(lab)
    warned = lab.said("episode_manager").count("may go on scoring")
    assert lab.end("reward_node", number) == 0
    ended(lab, handle, "shutdown")
    # It has said itself that it goes: nothing is left to deactivate, and to wait for.
    assert lab.said("episode_manager").count("may go on scoring") == warned
    fault = lab.await_event("fault")
    assert fault.termination_reason == "model_error" and not fault.episode_id
    is_brought_up_again(lab)


def test_a_reward_node_that_dies_as_soon_as_it_is_up_is_missed_too(lab):
    lab.end("reward_node", signal.SIGTERM)
    lab.await_event("fault")
    lab.launch("reward_node")
    lab.await_event("recovered")
    lab.end("reward_node", signal.SIGKILL)
    lab.await_event("fault", count=2)
    is_brought_up_again(lab)


def is_brought_up_again(lab) -> None:
    """Refuses until it is there; told once when it is."""
    answer = lab.begin()
    assert not answer.success and "not up" in answer.message
    lab.told.clear()
    lab.launch("reward_node")  # as launch does with respawn:=true
    lab.wait(lambda: lab.happened("recovered"), LOADING)
    # After a node that was killed, discovery may take longer than a camera may be silent here.
    lab.wait(lab.hears_cameras)
    next_one_runs(lab)


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


# --- the manager ends or is killed -----------------------------------------------------------


def test_a_manager_that_is_killed_and_started_again_takes_the_episode_over(lab):
    running(lab)
    episode = lab.happened("started")[0].episode_id
    lab.end("episode_manager", signal.SIGKILL)
    lab.told.clear()
    lab.launch("episode_manager")
    taken = lab.await_event("recovered")
    assert taken.episode_id == episode and "taken over" in taken.detail
    lab.meet()
    lab.feedback.clear()
    result = lab.run_one(time_limit=1.0)[1]
    assert result.termination_reason == "timeout"
    lab.wait(lambda: lab.happened("stopped", result.episode_id))
    assert lab.await_event("stopped", episode).termination_reason == "preempted"
    assert lab.stories()[result.episode_id] == ["started", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_in_an_episode_ends_it_as_shutdown_with_its_result_and_exit_code_0(lab, number):
    with lab.robot.offering(ARM):
        handle = running(lab)
        answer = handle.get_result_async()
        lab.linger(0.2)
        assert lab.end("episode_manager", number) == 0
        lab.wait(answer.done)
    result = answer.result().result
    assert result.termination_reason == "shutdown" and result.stop_actions_done
    assert lab.robot.calls == [(ARM, None)]
    assert lab.await_event("stopped", result.episode_id).termination_reason == "shutdown"
    lab.wait(lambda: lab.state() == "inactive")
    lab.launch("episode_manager")
    lab.meet()
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
        # The action would hang for three minutes; a busy machine may take its time.
        assert time.monotonic() - before < 30.0
        assert END_PATIENCE < 5.0  # launch's


def test_a_parameter_that_cannot_be_ends_the_process_with_1_and_one_sentence():
    command = node_command("episode_manager", {"on_second_goal": "queue"})
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .startswith("episode_manager: on_second_goal is 'queue'; expected preempt or refuse")
    )
