"""Waiting in coroutines: it leaves nothing behind, however often."""

from __future__ import annotations

import gc

import pytest
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger

from topreward_ros.nodes.waiting import Waiting

pytestmark = pytest.mark.usefixtures("context")
TIMES = 200


@pytest.fixture
def node():
    made = Node("waits", use_global_arguments=False)
    executor = SingleThreadedExecutor()
    executor.add_node(made)
    yield made
    executor.shutdown()
    made.destroy_node()


def grown(node: Node, work) -> int:
    """Returns how many objects are there after `TIMES` more of it that were not before."""

    async def often() -> None:
        for _ in range(TIMES):
            await work()

    counts = []
    for _ in range(2):
        task = node.executor.create_task(often())
        while not task.done():
            node.executor.spin_once(timeout_sec=1.0)
        task.result()
        gc.collect()
        counts.append(len(gc.get_objects()))
    return counts[1] - counts[0]


def test_a_wait_leaves_nothing_behind(node):
    waiting = Waiting(node)
    assert grown(node, lambda: waiting.pause(1e-3)) < TIMES / 2


def test_a_call_leaves_nothing_behind(node):
    group, waiting = ReentrantCallbackGroup(), Waiting(node)
    node.create_service(Trigger, "~/answer", lambda _, answer: answer, callback_group=group)
    client = node.create_client(Trigger, "~/answer", callback_group=group)

    async def call() -> None:
        assert await waiting.answer(client, Trigger.Request(), 30.0) is not None

    assert grown(node, call) < TIMES / 2
