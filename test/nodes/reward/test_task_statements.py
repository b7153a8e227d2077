"""The topic `task_statements` sets what is asked about beside the task."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from reward_stack import stack

from topreward_msgs.msg import Statement, TaskStatements
from topreward_ros.nodes.messages import latched

TASK = "put the red cube on the disc"
OWN = "place | stage | the red cube lies on the disc"
GRASP = Statement(name="grasp", role="stage", text="the gripper holds the red cube")
DROPPED = Statement(name="dropped", role="failure", text="it lies on the floor", threshold=-1.5)
pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def live(model):
    with stack(model, statements=[OWN]) as live:
        place = live.instructions.topic_name.rpartition("/")[0]
        topic = live.node.create_publisher(TaskStatements, f"{place}/task_statements", latched())
        live.say = lambda *told: topic.publish(TaskStatements(statements=told))
        live.own = lambda: list(live.reward_node.get_parameter("statements").value)
        yield live


def test_what_a_planner_says_is_asked_from_the_next_episode_on(live):
    live.up(TASK)
    live.say(GRASP, DROPPED)
    live.wait(lambda: len(live.events) >= 2)
    assert live.events[-1].event == "changed" and "statements" in live.events[-1].detail
    assert live.own() == [
        "grasp | stage | the gripper holds the red cube",
        "dropped | failure | -1.5 | it lies on the floor",
    ]
    assert live.play(0, 1)[-1].stage == "place"
    live.reset()
    live.wait(lambda: len(live.named("started")) == 2)
    assert live.play(2, 3)[-1].stage == "grasp"
    live.say()
    live.wait(lambda: live.own() == [""])


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([GRASP, GRASP], "have the name 'grasp'"),
        ([Statement(name="a", role="goal", text="go")], "has the role 'goal'"),
        ([Statement(name="a", role="stage", text="-2 | go")], "vertical bar"),
        ([Statement(name="a", role="stage", text="go", threshold=float("nan"))], "threshold"),
        ([Statement(name="a", role="stage", text="go", threshold=0.5)], "threshold"),
        ([Statement()], "needs a name"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_sentence_and_changes_nothing(
    live, told, words, capfd
):
    live.say(*told)
    said = []

    def refused() -> bool:
        said.append(capfd.readouterr().err)
        return "Statements on task_statements are refused" in "".join(said)

    live.wait(refused)
    assert words in "".join(said) and "Traceback" not in "".join(said)
    assert live.own() == [OWN]
