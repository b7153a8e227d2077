"""Cameras that change while an episode runs: size, encoding, transport, frame, driver."""

from __future__ import annotations

import pytest
from hostile_pictures import encoded
from manager_stack import ALWAYS
from reward_stack import START, CompressedImage, Image, image, picture, stack

from topreward_ros.nodes.messages import time_message

pytestmark = pytest.mark.usefixtures("context")
DETECTOR = {"success_threshold": ALWAYS, "success_min_duration": 0.0, "success_hold": 1.0}


@pytest.fixture
def live(model):
    with stack(model, transport="auto", camera_timeout=60.0, **DETECTOR) as made:
        made.up()
        made.play(0, 2)
        yield made
        assert not made.named("fault") and not made.named("stopped")


def show(live, message, index: int) -> None:
    """Publishes a message as the picture of half-second `index`, and waits for its reading."""
    message.header.stamp = time_message(START + index / 2)
    live.cameras[0].publish(message)
    live.wait(lambda: live.readings[-1].episode_time >= index / 2 - 0.01)


def larger(seed: int) -> Image:
    """The picture of `seed` with four times the pixels."""
    message = image(0.0, seed=seed)
    pixels = picture(seed).repeat(2, axis=0).repeat(2, axis=1)
    message.height, message.width = pixels.shape[:2]
    message.step = message.width * 3
    message.data = pixels.tobytes()
    return message


def other_encoding(seed: int) -> Image:
    message = image(0.0, seed=seed)
    message.encoding = "bgr8"
    message.data = picture(seed)[..., ::-1].tobytes()
    return message


@pytest.mark.parametrize("change", [larger, other_encoding])
def test_another_size_or_encoding_changes_nothing_of_the_episode(live, change):
    for index in range(3, 6):
        show(live, change(index), index)
    assert live.readings[-1].frames == 6 and live.readings[-1].success


def test_another_encoding_is_the_same_picture(model):
    """Pixel by pixel: the scores of the two are equal."""
    scores = []
    for change in (lambda seed: image(0.0, seed=seed), other_encoding):
        with stack(model, **DETECTOR) as live:
            live.up()
            for index in range(4):
                message = change(index)
                message.header.stamp = time_message(START + index / 2)
                live.cameras[0].publish(message)
                live.wait(lambda n=index: len(live.readings) > n)
            scores.append([reading.log_prob for reading in live.readings])
    assert scores[0] == scores[1]


def test_another_transport_is_taken_on_the_same_topic(live):
    live.node.destroy_publisher(live.cameras[0])
    live.cameras[0] = live.camera(live.topics[0], CompressedImage)
    live.wait(lambda: live.cameras[0].get_subscription_count())
    for index in range(3, 6):
        show(live, CompressedImage(format="jpeg", data=encoded(picture(index))), index)
    assert live.readings[-1].frames == 6


def test_the_readings_carry_the_frame_id_of_now(live):
    message = image(0.0, seed=3)
    message.header.frame_id = "another_lens"
    show(live, message, 3)
    assert [reading.header.frame_id for reading in live.readings] == ["lens"] * 3 + ["another_lens"]


def test_a_driver_that_is_started_anew_twice_leaves_holes_and_no_faults(live):
    """Each takes three seconds of camera time: no success spans it, and the episode goes on."""
    live.reward_node.runner._now = lambda: None  # its clock would have to wait as long
    for first in (9, 18):
        live.node.destroy_publisher(live.cameras[0])
        live.cameras[0] = live.camera(live.topics[0])
        live.wait(lambda: live.cameras[0].get_subscription_count())
        for index in range(first, first + 3):
            show(live, image(0.0, seed=index), index)
    assert [reading.frames for reading in live.readings][-1] == 9
    live.wait(lambda: live.values("episode").get("holes") == "2")
    assert len({reading.episode_id for reading in live.readings}) == 1
