"""Image topics: found out, followed when they turn out otherwise, and as reliable as asked."""

from __future__ import annotations

import cv2
import pytest
from reward_stack import START, picture, stack
from sensor_msgs.msg import CompressedImage

from topreward_ros.nodes.messages import time_message

TASK = "put the red cube on the disc"
pytestmark = pytest.mark.usefixtures("context")


def compressed(seed: int) -> CompressedImage:
    message = CompressedImage(format="png")
    message.header.stamp = time_message(START + seed / 2)
    message.data = cv2.imencode(".png", picture(seed)[..., ::-1])[1].tobytes()
    return message


def test_a_topic_that_turns_out_to_be_compressed_is_followed(model):
    with stack(model, instruction=TASK) as live:
        live.node.destroy_publisher(live.cameras[0])
        live.wait(lambda: not live.reward_node.count_publishers(live.topics[0]))
        live.go()  # as long as nothing is published there, it counts as Image
        live.cameras[0] = live.camera(live.topics[0], CompressedImage)
        live.match()
        live.cameras[0].publish(compressed(0))
        live.wait(lambda: live.readings)


def test_a_name_that_says_compressed_is_believed_before_anything_is_published(model):
    with stack(model, instruction=TASK, cameras=0) as live:
        topic = f"{live.reward_node.get_namespace()}/lens/compressed"
        assert not live.set(cameras=[topic])
        live.go()
        live.cameras = [live.camera(topic, CompressedImage)]
        live.match()
        live.cameras[0].publish(compressed(0))
        live.wait(lambda: live.readings)


@pytest.mark.parametrize("reliability", ["best_effort", "reliable"])
def test_the_reliability_of_a_camera_can_be_overridden(model, reliability):
    with stack(model, instruction=TASK, qos={"reliability": reliability}) as live:
        live.up()
        (info,) = live.node.get_subscriptions_info_by_topic(live.topics[0])
        assert info.qos_profile.reliability.name.lower() == reliability
        assert live.play(0, 1)


def test_a_camera_is_subscribed_with_best_effort_unless_told_otherwise(model):
    with stack(model, instruction=TASK) as live:
        live.up()
        (info,) = live.node.get_subscriptions_info_by_topic(live.topics[0])
        assert info.qos_profile.reliability.name == "BEST_EFFORT"


def test_a_configure_that_fails_at_the_second_camera_leaves_the_first_unsubscribed(model):
    first, second = "/half_a_rig/left", "/half_a_rig/right"
    bad = {f"qos_overrides.{second}.subscription.reliability": "perhaps"}
    with stack(model, instruction=TASK, cameras=0, **bad) as live:
        assert not live.set(cameras=[first, second])
        assert not live.change("configure")
        live.wait(lambda: (told := live.status("model")) and second in told.message)
        assert subscriptions(live, first) == 0
        assert not live.set(cameras=[first])
        assert live.change("configure")
        assert subscriptions(live, first) == 1


def subscriptions(live, topic: str) -> int:
    """How often the node has subscribed a topic, by its own account: discovery would be late."""
    return [one.topic_name for one in live.reward_node.subscriptions].count(topic)


def test_an_inactive_node_scores_nothing_of_what_its_cameras_send(model):
    with stack(model, instruction=TASK) as live:
        assert live.change("configure")
        live.match()
        for index in range(3):
            live.show(index)
        live.wait(lambda: live.received() == 3)
        assert not live.readings and live.reward_node.scoring.pending == 0


def test_a_publisher_whose_node_is_not_known_yet_is_no_other_one_and_later_has_its_name(
    model, monkeypatch
):
    # Discovery tells of endpoints first; told at once, the fault would name an unknown node.
    with stack(model, instruction=TASK) as live, stack(model) as other:
        live.up()
        real = live.reward_node.get_publishers_info_by_topic
        known = []

        def early(topic):
            infos = real(topic)
            for info in infos:
                if info.node_name == other.node.get_name() and not known:
                    info.node_name = "_NODE_NAME_UNKNOWN_"
            return infos

        monkeypatch.setattr(live.reward_node, "get_publishers_info_by_topic", early)
        twin = other.camera(live.topics[0])
        live.wait(twin.get_subscription_count)
        live.linger(1.5)  # it looks every half second
        assert not live.named("fault")
        known.append(True)
        live.wait(lambda: live.named("fault"))
        assert other.node.get_name() in live.named("fault")[0].detail


def test_with_sim_time_and_no_clock_cameras_are_scored_and_watched(model):
    with stack(model, instruction=TASK, use_sim_time=True, camera_timeout=0.5) as live:
        live.up()
        assert live.play(0, 1)
        live.wait(lambda: live.named("fault"))
        assert live.named("fault")[0].header.stamp.sec == 0
