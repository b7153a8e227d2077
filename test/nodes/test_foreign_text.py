"""What the graph brings reaches no log, no event and no diagnostics raw; with real nodes."""

from __future__ import annotations

import itertools
import re

import pytest
from lifecycle_msgs.srv import ChangeState
from manager_stack import NEVER, TASK, managed
from rcl_interfaces.msg import Log
from reward_stack import image
from std_msgs.msg import String
from test_printable import SENT, raw

from topreward_msgs.msg import EpisodeEvent
from topreward_msgs.srv import StopEpisode
from topreward_ros.nodes.printable_node import PrintableNode

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture(scope="module")
def lab(model):
    with managed(model, success_threshold=NEVER) as made:
        yield made


@pytest.fixture
def logs(lab):
    """What /rosout gets."""
    heard: list[Log] = []
    subscription = lab.node.create_subscription(Log, "/rosout", heard.append, 1000)
    lab.wait(lambda: subscription.get_publisher_count() > 1)
    yield heard
    lab.node.destroy_subscription(subscription)


def test_transitions_instructions_and_pictures_are_logged_printable(lab, logs, capfd) -> None:
    request = ChangeState.Request()
    request.transition.label = SENT
    assert not lab.call(ChangeState, "change_state", request).success
    lab.instructions.publish(String(data=SENT))
    lab.begin(TASK)
    lab.film.silent.update(lab.topics)
    stamps = itertools.count(lab.film.now + 0.5, 0.5)

    def told() -> bool:
        for camera in lab.cameras:
            picture = image(next(stamps))  # goes on from the film's, and is due
            picture.encoding = SENT
            camera.publish(picture)
        return sum("owned" in one.msg for one in logs) >= 2

    lab.wait(told)
    lab.stop_it()
    lab.film.silent.clear()
    said = capfd.readouterr().err
    assert "owned" in said
    assert raw(said) == set()
    assert not any(raw(one.msg) for one in logs)


def test_the_detail_of_a_stop_is_printable_in_events_results_and_logs(lab, capfd) -> None:
    handle = lab.goal(TASK)
    lab.wait(lambda: lab.manager.control.current is not None)
    lab.ask(StopEpisode, outcome=EpisodeEvent.OUTCOME_FAILURE, detail=f"{SENT}\n[INFO] forged")
    _, result = lab.result(handle)
    stopped = lab.await_event(EpisodeEvent.STOPPED, result.episode_id)
    said = capfd.readouterr().err
    for text in (result.detail, stopped.detail, said):
        assert "owned" in text and raw(text, lines=text is said) == set()
    # A line of the log begins with the logger's own words.
    assert all(re.match(r"\[\w+\] \[|    ", line) for line in said.splitlines() if line)
    assert lab.ask(StopEpisode, outcome=SENT).success is False


def test_the_log_of_any_node_keeps_lines_apart(capfd) -> None:
    node = PrintableNode("speaker", use_global_arguments=False)
    for _ in range(3):
        node.get_logger().warning(f"one\n{SENT}", throttle_duration_sec=60.0)
        node.get_logger().get_child("part").error(SENT)
        node.get_logger().info("fine")  # severities of several calls do not get mixed up
    node.destroy_node()
    said = capfd.readouterr().err
    assert said.count("[speaker]: fine") == 3 and said.count("[speaker]: one") == 1
    assert raw(said) == set()
