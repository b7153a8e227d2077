"""Two nodes with one name: the one that had it first goes on, the other leaves and says why."""

from __future__ import annotations

import signal
import socket
from contextlib import closing

import pytest
from manager_processes import LOADING, Lab, processes
from manager_stack import TASK
from rclpy.node import Node
from reward_stack import Tester
from std_msgs.msg import String

from topreward_ros.nodes.messages import latched
from topreward_ros.nodes.name_claim import HOLDS, NEW, Claim
from topreward_ros.nodes.printable_node import PrintableNode

pytestmark = pytest.mark.usefixtures("context")
FIRST, LAST = "0" * 32, "f" * 32


def claim(standing: str, key: str) -> Claim:
    return Claim(standing, key, "process 7 on lab")


def test_of_two_claims_exactly_one_stays_and_an_older_one_never_goes():
    claims = [claim(standing, key) for standing in (NEW, HOLDS) for key in (FIRST, LAST)]
    for one in claims:
        for other in claims:
            if one.key != other.key:
                assert one.stays(other) != other.stays(one)
    assert claim(HOLDS, LAST).stays(claim(NEW, FIRST))
    assert claim(NEW, FIRST).stays(claim(NEW, LAST))


@pytest.mark.parametrize("text", ["", "holds", "holds 12 here", f"old {FIRST} here", "x" * 10_000])
def test_what_is_no_claim_is_none(text):
    assert Claim.read(text) is None


def test_a_claim_is_read_as_it_was_said():
    assert Claim.read(" ".join(claim(HOLDS, FIRST))) == claim(HOLDS, FIRST)


@pytest.fixture(scope="module")
def lab(model, tmp_path_factory):
    with processes(model, tmp_path_factory.mktemp("namesakes")) as made:
        for name in made.processes:  # of two that are new, either may have to go
            said: list[String] = []
            topic = f"{made.namespace}/{name}/name_claim"
            made.node.create_subscription(String, topic, said.append, latched())
            made.wait(lambda said=said: any(one.data.startswith(HOLDS) for one in said))
        yield made


@pytest.mark.parametrize("name", ["episode_manager", "reward_node"])
def test_a_second_process_of_the_name_leaves_and_the_first_goes_on(lab: Lab, name):
    # The manager believes nothing on a topic while it cannot tell one of two that speak there.
    events = {"episode_manager": lab.told, "reward_node": lab.events}[name]
    events.clear()
    episode = lab.begin()
    assert episode.success, episode.message
    first = lab.processes.pop(name)
    second = lab.launch(name)
    lab.wait(lambda: second.poll() is not None, LOADING)
    lab.processes[name] = first
    assert second.returncode == 1
    assert f"process {first.pid}" in lab.said(name) and "has the name" in lab.said(name)
    came = f"process {second.pid} on {socket.gethostname()} came with the name"
    told = f"{came} {lab.namespace}/{name}"

    def faults() -> list[str]:
        found = [event.detail for event in events if event.event == "fault"]
        return [detail for detail in found if told in detail]

    lab.wait(faults)
    lab.linger(0.5)
    assert len(faults()) == 1, "it is said once"
    # Nobody took the episode over or ended it.
    assert lab.stop_it().success
    lab.await_event("stopped", episode.episode_id)
    assert lab.stories()[episode.episode_id].count("stopped") == 1
    assert not lab.happened("recovered", episode.episode_id)
    assert lab.begin().success
    assert lab.stop_it().success


def listen(lab: Lab, name: str) -> list[str]:
    """Returns what a node has said of its name at last."""
    standing: list[str] = []
    topic = f"{lab.namespace}/{name}/name_claim"
    lab.node.create_subscription(String, topic, lambda m: standing.append(m.data.split()[0]), 10)
    return standing


def test_a_manager_takes_no_episode_over_before_its_name_is_its_own(lab: Lab):
    # One that is slow to hear of the first would take the episode over, and say so, and leave.
    episode = lab.begin()
    lab.end("episode_manager", signal.SIGKILL)
    standing = listen(lab, "episode_manager")
    lab.launch("episode_manager")
    lab.await_event("recovered", episode.episode_id)
    lab.linger(0.3)  # two topics: what was said first may come later
    assert standing[-1:] == [HOLDS]
    lab.meet()
    assert lab.stop_it().success


def test_a_reward_node_starts_no_episode_before_its_name_is_its_own(model, tmp_path):
    with closing(Lab(model, tmp_path, reward={"autostart": True})) as lab:
        standing = listen(lab, "reward_node")
        lab.launch("reward_node")
        lab.wait(lambda: lab.named("started"), LOADING)
        lab.linger(0.3)  # two topics: what was said first may come later
        assert standing[-1:] == [HOLDS]


def test_a_process_that_was_killed_holds_no_name(model, tmp_path):
    with processes(model, tmp_path) as lab:
        lab.end("episode_manager", signal.SIGKILL)
        lab.launch("episode_manager")
        lab.meet()
        lab.linger(4.0)
        assert lab.processes["episode_manager"].poll() is None
        assert lab.begin(TASK).success


def test_a_claim_of_a_node_with_another_name_is_none(model):
    tester = Tester("/anywhere/reward_node")
    node = PrintableNode("claimed", context=tester.node.context, use_global_arguments=False)
    left, kept = [], []
    node.give_up = lambda: left.append(True)
    from topreward_ros.nodes.name_claim import NameClaim

    NameClaim(node, kept.append)
    tester._executor.add_node(node)
    stranger = Node("stranger", context=tester.node.context, use_global_arguments=False)
    forged = stranger.create_publisher(String, "/claimed/name_claim", latched())
    forged.publish(String(data=" ".join(claim(HOLDS, FIRST))))
    tester.linger(1.0)
    assert not left and not kept
    tester._executor.remove_node(node)
    node.destroy_node()
    stranger.destroy_node()
    tester.close()
