"""Whatever comes in from outside: one clear sentence, and the node lives on in a defined state."""

from __future__ import annotations

import json
import shutil
import time

import pytest
from hostile_pictures import huge_jpeg, huge_png, largest_jpeg, many_scans
from reward_stack import HEIGHT, START, WIDTH, Stack, image, stack
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

from topreward_ros.nodes.messages import time_message

TASK = "put the red cube on the disc"
pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture(scope="module")
def node(model):
    """One node for all bad models: it has to outlive them."""
    with stack(model, instruction=TASK) as live:
        yield live


@pytest.fixture(scope="module")
def active(model):
    """One active node for all bad images: it has to outlive them."""
    with stack(model, instruction=TASK) as live:
        live.up()
        yield live


def break_model(kind: str, good, directory):
    """Makes a checkpoint directory that is bad in one way; returns it."""
    shutil.copytree(good, directory)
    if kind == "empty":
        shutil.rmtree(directory)
        directory.mkdir()
    elif kind == "damaged":
        (directory / "model.safetensors").write_bytes(b"\x00" * 100)
    elif kind == "pickled":
        (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    elif kind == "other family":
        config = json.loads((directory / "config.json").read_text())
        (directory / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    elif kind == "heads in words":
        config = json.loads((directory / "config.json").read_text())
        config["text_config"]["num_attention_heads"] = "four"
        (directory / "config.json").write_text(json.dumps(config))
    elif kind == "no tokenizer":
        (directory / "tokenizer.json").unlink()
    elif kind == "threshold in words":
        (directory / "topreward.json").write_text('{"success_threshold": "high"}')
    elif kind == "no sample rate":
        (directory / "topreward.json").write_text('{"sample_rate": 0}')
    elif kind == "no single True":
        from checkpoints import tiny_tokenizer

        tokenizer = tiny_tokenizer()
        vocabulary = json.loads((directory / "tokenizer.json").read_text())
        merges = vocabulary["model"]["merges"]
        vocabulary["model"]["merges"] = [m for m in merges if "".join(m) != "ĠTrue"]
        vocabulary["model"]["vocab"].pop("ĠTrue", None)
        vocabulary["model"]["vocab"]["ĠUnused"] = tokenizer.convert_tokens_to_ids("ĠTrue")
        (directory / "tokenizer.json").write_text(json.dumps(vocabulary))
    return directory


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("empty", "config.json"),
        ("damaged", "damaged"),
        ("pickled", "safetensors"),
        ("other family", "bert"),
        ("heads in words", "config.json cannot be used (Validation error"),
        ("no tokenizer", "; see whether the checkpoint is whole"),
        ("threshold in words", "topreward.json cannot be read: success_threshold is 'high'"),
        ("no sample rate", "topreward.json cannot be read: sample_rate is 0"),
        ("no single True", " True"),
    ],
)
def test_a_bad_checkpoint_fails_configure_with_a_sentence(node, model, tmp_path, kind, words):
    bad = break_model(kind, model, tmp_path / "bad")
    assert not node.set(model=str(bad))
    assert not node.change("configure")
    assert node.state() == "unconfigured"
    says(node, "model", words)


def test_a_missing_model_fails_configure_with_a_sentence(node):
    assert not node.set(model="/no/such/directory")
    assert not node.change("configure")
    says(node, "model", "/no/such/directory")


def test_cuda_without_a_gpu_fails_configure_with_a_sentence(node, model):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert not node.set(model=str(model), device="cuda")
    assert not node.change("configure")
    says(node, "model", "device is 'cuda'")
    assert not node.set(device="cpu")


def test_a_bad_calibration_file_fails_configure_with_a_sentence(node, model, tmp_path):
    path = tmp_path / "calibration.yaml"
    path.write_text("just text")
    assert not node.set(model=str(model), calibration_file=str(path))
    assert not node.change("configure")
    says(node, "model", str(path))
    assert not node.set(calibration_file="")


def test_after_all_of_that_a_good_model_configures(node, model):
    assert not node.set(model=str(model), device="cpu")
    assert node.change("configure")
    assert node.change("activate")
    node.match()
    assert node.play(0, 1)


def test_a_bad_value_at_the_start_fails_configure_until_it_is_set_right(model):
    with stack(model, sample_rate=-2.0) as live:
        assert not live.change("configure")
        says(live, "model", "sample_rate is -2.0")
        assert not live.set(sample_rate=2.0)
        assert live.change("configure")


def wrong_encoding():
    message = image(START)
    message.encoding = "16UC1"
    return message


def truncated():
    message = image(START)
    message.data = message.data[:100]
    return message


def contradictory():
    message = image(START)
    message.step = WIDTH
    return message


def empty():
    message = image(START)
    message.width = message.height = 0
    return message


def unstamped():
    return image(0.0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (wrong_encoding, "16UC1"),
        (truncated, "100 bytes"),
        (contradictory, "step"),
        (empty, "0 x 0"),
        (unstamped, "stamp"),
    ],
)
def test_a_bad_image_is_refused_with_a_reason_and_the_next_good_one_is_scored(
    active: Stack, make, words
):
    assert active.reset().success
    count = len(active.readings)
    active.cameras[0].publish(make())
    says(active, active.topics[0], words)
    assert len(active.readings) == count
    active.cameras[0].publish(image(START + 0.5))
    active.wait(lambda: len(active.readings) == count + 1)
    assert active.state() == "active"


def test_a_bad_image_of_one_camera_is_not_blamed_on_the_other(model):
    with stack(model, instruction=TASK, cameras=2) as live:
        live.up()
        live.cameras[1].publish(wrong_encoding())
        live.wait(lambda: live.received() == 1)
        live.show(0, camera=0)  # asks for the frame, and so has the other's image decoded
        says(live, live.topics[1], "16UC1")
        live.wait(lambda: (told := live.status(live.topics[0])) and told.message == "Heard.")
        assert live.values(live.topics[1]).get("received") == "1"
        assert live.values(live.topics[1]).get("refused") == "1"
        live.show(1, camera=1)
        live.show(1, camera=0)
        live.wait(lambda: live.readings)
        live.wait(lambda: (told := live.status(live.topics[1])) and told.message == "Heard.")


def test_a_camera_whose_images_are_all_bad_is_lost_and_the_other_is_not(model):
    given = {"camera_timeout": 0.5, "camera_max_age": 0.1}
    with stack(model, instruction=TASK, cameras=2, **given) as live:
        live.up()

        def both_go_on() -> bool:
            both_go_on.index += 1
            for camera in (1, 0):
                message = wrong_encoding() if camera else image(START)
                message.header.stamp = time_message(START + both_go_on.index / 2)
                count = live.received()
                live.cameras[camera].publish(message)
                live.wait(lambda c=count: live.received() > c)
            return bool(live.named("fault"))

        both_go_on.index = 0
        live.wait(both_go_on)
        seen = both_go_on.index
        live.wait(lambda: both_go_on() and both_go_on.index > seen + 100)
        assert [event.event for event in live.events] == ["started", "fault"]
        assert f"The camera {live.topics[1]} gave no usable image" in live.events[1].detail


def test_an_image_with_padded_rows_is_read_as_the_same_picture(active: Stack):
    assert active.reset().success
    packed = active.play(0, 0)[0]
    assert active.reset().success
    message = image(START)
    rows = [
        bytes(message.data[r * message.step : (r + 1) * message.step]) + b"\xff" * 32
        for r in range(HEIGHT)
    ]
    message.step += 32
    message.data = b"".join(rows)
    active.cameras[0].publish(message)
    active.wait(lambda: active.readings[-1].episode_id != packed.episode_id)
    assert active.readings[-1].log_prob == pytest.approx(packed.log_prob, abs=1e-5)


def test_damaged_jpegs_lose_the_camera_with_the_reason(model):
    with stack(model, instruction=TASK, transport="compressed", camera_timeout=0.3) as live:
        live.node.destroy_publisher(live.cameras[0])
        publisher = live.camera(live.topics[0], CompressedImage)
        live.cameras = [publisher]
        live.up()
        message = CompressedImage(format="jpeg", data=b"\xff\xd8 no picture")
        message.header.stamp = time_message(START)
        publisher.publish(message)
        live.wait(lambda: live.named("fault"))
        assert "cannot be decoded" in live.named("fault")[0].detail
        assert live.state() == "active"


def test_services_answer_while_pictures_arrive_that_take_seconds_to_decode(model):
    bombs = [many_scans(), huge_jpeg(), huge_png()]
    with stack(model, instruction=TASK, transport="compressed") as live:
        live.node.destroy_publisher(live.cameras[0])
        live.cameras = [live.camera(live.topics[0], CompressedImage)]
        live.up()
        answers = []

        def refused_twenty() -> bool:
            index = len(answers)
            message = CompressedImage(format="", data=bombs[index % len(bombs)])
            message.header.stamp = time_message(START + index)
            live.cameras[0].publish(message)
            before = time.monotonic()
            assert live.state() == "active"
            answers.append(time.monotonic() - before)
            watch = live.reward_node.runner.equipment.watch.cameras[live.topics[0]]
            return watch.refused >= 20

        live.wait(refused_twenty, 60.0)
        assert sorted(answers)[len(answers) // 2] < 0.5  # a busy machine; one bomb takes longer


def test_services_answer_while_one_costly_picture_is_decoded(model):
    """The costliest that is taken: the answers that come before its reading are counted."""
    with stack(model, instruction=TASK, transport="compressed") as live:
        live.node.destroy_publisher(live.cameras[0])
        live.cameras = [live.camera(live.topics[0], CompressedImage)]
        live.up()
        watch = live.reward_node.runner.equipment.watch.cameras[live.topics[0]]
        message = CompressedImage(format="jpeg", data=largest_jpeg())
        message.header.stamp = time_message(START)
        live.cameras[0].publish(message)
        answers = 0
        while not watch.received:
            assert live.state() == "active"
            answers += not watch.received
        assert answers >= 5
        live.wait(lambda: live.readings)


def test_a_topic_of_another_type_is_told_and_the_node_goes_on(model):
    with stack(model, instruction=TASK, cameras=1) as live:
        live.node.destroy_publisher(live.cameras[0])
        text = live.camera(live.topics[0], String)
        live.cameras = []
        live.up()
        says(live, live.topics[0], "std_msgs/msg/String")
        assert live.state() == "active"
        live.node.destroy_publisher(text)


def test_a_transport_that_does_not_fit_the_topic_is_told(model):
    with stack(model, instruction=TASK, transport="compressed") as live:
        live.go()
        says(live, live.topics[0], "transport is compressed")


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "empty"), ("x" * 10_000, "10000 characters"), ("a\nb", "line break")],
    ids=["empty", "long", "two lines"],
)
def test_a_bad_instruction_is_refused_and_the_old_one_stays(active: Stack, text, words):
    seen = []
    from rcl_interfaces.msg import Log

    log = active.node.create_subscription(Log, "/rosout", seen.append, 100)
    active.wait(log.get_publisher_count)
    active.instructions.publish(String(data=text))
    active.wait(lambda: any(words in entry.msg for entry in seen))
    assert active.reset().success
    count = len(active.readings)
    active.cameras[0].publish(image(START + 200))
    active.wait(lambda: len(active.readings) == count + 1)
    assert active.readings[-1].instruction == TASK
    active.node.destroy_subscription(log)


def says(live: Stack, part: str, words: str) -> None:
    """Waits until the diagnostics of a part hold the words, in one line."""
    live.wait(lambda: live.status(part) is not None and words in live.status(part).message)
    assert "\n" not in live.status(part).message.strip()
    assert live.status(part).level in (b"\1", b"\2")
