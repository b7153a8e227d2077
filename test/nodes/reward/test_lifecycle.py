"""Every transition of the reward node, over real services, and processes that get signals."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from reward_stack import PATIENCE, Tester, stack
from std_msgs.msg import String
from warm_processes import WarmProcess, fresh_process

from topreward_ros.nodes.running.node_commands import node_command

TASK = "put the red cube on the disc"
pytestmark = pytest.mark.usefixtures("context")


def seconds(act: Callable[[], object]) -> float:
    started = time.monotonic()
    act()
    return time.monotonic() - started


def soon(live, question: Callable[[], object] | None = None) -> float:
    """s: half of one, and more where the machine is so busy that mere questions take long."""
    return 0.5 + 10 * max(seconds(question or live.state) for _ in range(5))


def test_each_transition_leads_to_its_state(model):
    with stack(model) as live:
        assert live.state() == "unconfigured"
        for transition, state in (
            ("configure", "inactive"),
            ("activate", "active"),
            ("deactivate", "inactive"),
            ("cleanup", "unconfigured"),
            ("configure", "inactive"),
        ):
            assert live.change(transition)
            assert live.state() == state


@pytest.mark.parametrize(
    ("path", "illegal"),
    [
        ([], ["activate", "deactivate", "cleanup"]),
        (["configure"], ["configure", "deactivate"]),
        (["configure", "activate"], ["configure", "activate", "cleanup"]),
    ],
    ids=["unconfigured", "inactive", "active"],
)
def test_an_illegal_transition_is_answered_no_and_changes_nothing(model, path, illegal):
    with stack(model, instruction=TASK) as live:
        assert all(live.change(transition) for transition in path)
        before = live.state()
        for transition in illegal:
            assert not live.change(transition)
        assert not live.change(99)
        assert live.state() == before


def test_ten_episodes_in_a_row_load_the_model_once(model):
    with stack(model, instruction=TASK) as live:
        assert live.change("configure")
        scorer = live.reward_node.runner.equipment.scorer
        live.match()
        taken = []
        for episode in range(10):
            taken.append(seconds(lambda: live.change("activate")))
            assert live.state() == "active"
            readings = live.play(0, 2)
            assert [r.index for r in readings] == [0, 1, 2]
            assert live.change("deactivate")
            live.wait(lambda n=episode: len(live.named("stopped")) == n + 1)
        assert len({r.episode_id for r in live.readings}) == 10
        assert live.reward_node.runner.equipment.scorer is scorer
        assert statistics.median(taken) < soon(live)


def test_a_cleaned_up_node_is_configured_again_and_scores(model):
    with stack(model, instruction=TASK) as live:
        live.up()
        live.play(0, 1)
        assert live.change("deactivate") and live.change("cleanup")
        assert live.reward_node.runner.equipment is None
        live.up()
        assert live.play(2, 2)[0].index == 0


def test_a_deactivated_node_does_not_finish_the_score_it_had_begun(model):
    with stack(model, instruction=TASK) as live:
        live.up()
        with live.busy():
            live.show(0)
            live.wait(lambda: live.reward_node.scoring.pending == 1)
            taken = seconds(lambda: live.change("deactivate"))
            assert live.state() == "inactive"
            assert taken < soon(live)
        assert live.change("activate")
        assert live.play(1, 1)[0].episode_id != live.named("started")[0].episode_id


def test_the_state_is_told_while_the_model_loads_and_a_second_request_is_refused(model):
    with stack(model, instruction=TASK) as live:
        live.state()
        with live.busy():
            answer = request(live, Transition.TRANSITION_CONFIGURE)
            live.wait(lambda: live.reward_node.state == "configuring")
            states = []
            taken = seconds(lambda: states.append(live.state()))
            assert states == ["configuring"]
            assert taken < soon(live, lambda: live.set(sample_rate=2.0))
            assert not live.change("activate")
            assert not answer.done()
        live.wait(answer.done)
        assert answer.result().success


def test_a_hook_that_raises_leads_back_to_unconfigured_and_the_node_lives_on(model):
    with stack(model, instruction=TASK) as live:
        assert live.change("configure")
        live.reward_node.runner.equipment = None  # what no correct program does
        assert not live.change("activate")
        assert live.state() == "unconfigured"
        live.wait(lambda: live.status("model") and live.status("model").level == b"\2")
        assert "activate failed" in live.status("model").message
        live.up()
        assert live.play(0, 0)


def test_a_callback_that_raises_does_not_end_the_node(model):
    with stack(model, instruction=TASK) as live:
        live.up()
        live.reward_node.create_subscription(String, "/broken", lambda _: 1 / 0, 10)
        broken = live.node.create_publisher(String, "/broken", 10)
        live.wait(broken.get_subscription_count)
        broken.publish(String())
        assert live.play(0, 1)


def test_shutdown_by_request_ends_the_episode_and_finalizes(model):
    with stack(model, instruction=TASK) as live:
        live.up()
        live.play(0, 0)
        assert live.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
        assert live.state() == "finalized"
        live.wait(lambda: live.named("stopped"))
        assert live.named("stopped")[0].termination_reason == "shutdown"
        assert not live.change("configure")


def request(live, transition: int):
    from lifecycle_msgs.srv import ChangeState

    client = live.node.create_client(ChangeState, f"{live._name}/change_state")
    live.wait(client.service_is_ready)
    message = ChangeState.Request()
    message.transition.id = transition
    return client.call_async(message)


class Process:
    """A reward node in a process of its own."""

    def __init__(self, log: Path, name: str, *, fresh: bool = False, **parameters: object) -> None:
        command = node_command("reward_node", parameters, namespace=f"/{name}")
        self._log = log / f"{name}.log"
        self.child = (fresh_process if fresh else WarmProcess)(command, output=self._log)
        self.tester = Tester(f"/{name}/reward_node")

    def end(self, number: int) -> tuple[int, float, str]:
        """Sends a signal; returns exit code, seconds until the end, and the log."""
        started = time.monotonic()
        self.child.send_signal(number)
        code = self.child.wait(PATIENCE)
        return code, time.monotonic() - started, self._log.read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.tester.close()


SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def ends_cleanly(process: Process, number: int) -> None:
    code, seconds, log = process.end(number)
    assert code == 0, log
    assert "Traceback" not in log, log
    assert seconds < 5.0 * max(1.0, os.getloadavg()[0] / os.cpu_count())  # 5 s of a free core


@SIGNALS
def test_a_signal_ends_an_unconfigured_process_cleanly(model, number, tmp_path):
    name = f"signal_{number.name.lower()}"
    with Process(tmp_path, name, fresh=True, model=str(model)) as process:
        process.tester.state()
        ends_cleanly(process, number)


@SIGNALS
def test_a_signal_while_the_model_loads_ends_the_process_cleanly(model, number, tmp_path):
    given = {"model": str(model), "autostart": True}
    with Process(tmp_path, f"loading_{number.name.lower()}", fresh=True, **given) as process:
        process.tester.wait(lambda: process.tester.state() == "configuring")
        ends_cleanly(process, number)


@SIGNALS
def test_autostart_brings_the_node_up_and_a_signal_ends_its_episode(model, number, tmp_path):
    given = {"model": str(model), "instruction": "lift", "autostart": True}
    with Process(tmp_path, f"autostart_{number.name.lower()}", **given) as process:
        tester = process.tester
        tester.wait(lambda: tester.named("started"))
        tester.wait(lambda: tester.state() == "active")
        ends_cleanly(process, number)
        tester.wait(lambda: tester.named("stopped"))
        assert tester.named("stopped")[0].termination_reason == "shutdown"


def test_an_autostart_that_fails_leaves_the_node_alive_and_says_why(tmp_path):
    with Process(tmp_path, "failing", model=str(tmp_path), autostart=True) as process:
        tester = process.tester
        tester.wait(lambda: tester.status("model") and tester.status("model").level == b"\2")
        assert "config.json" in tester.status("model").message
        assert tester.state() == "unconfigured"
        ends_cleanly(process, signal.SIGTERM)
