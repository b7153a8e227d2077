"""Parameters: declared once, refused with a sentence, in keeping with config/reward.yaml."""

from __future__ import annotations

import itertools
import math

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter

from topreward_ros.nodes.parameters import ParameterError, refusal
from topreward_ros.nodes.reward.live_parameters import LiveParameters
from topreward_ros.nodes.reward.parameters import RULES, RewardParameters

BAD = [
    ("model", ""),
    ("model", "  "),
    ("device", "gpu"),
    ("device", "cuda:one"),
    ("dtype", "int8"),
    ("quantization", "int4"),
    ("prompt_form", "poem"),
    ("frame_size", [224]),
    ("frame_size", [0, 224]),
    ("frame_size", [100000, 100000]),
    ("max_pairs", 0),
    ("max_pairs", 7),
    ("max_pairs", -256),
    ("attention", "flash"),
    ("instruction", "x" * 10_000),
    ("instruction", "two\nlines"),
    ("cameras", ["not a topic"]),
    ("cameras", ["/camera", "/camera"]),
    ("cameras", [f"/camera_{index}" for index in range(17)]),
    ("transport", "zip"),
    ("layout", "pile"),
    ("camera_max_age", 0.0),
    ("camera_max_age", math.nan),
    ("sample_rate", -1.0),
    ("sample_rate", 1e9),
    ("sample_rate", math.inf),
    ("motion_threshold", 300.0),
    ("reward_form", "sum"),
    ("success_threshold", 0.5),
    ("success_threshold", -math.inf),
    ("success_window", 0),
    ("success_hold", -1.0),
    ("success_min_duration", math.nan),
    ("stall_time", -1.0),
    ("stall_min_progress", 0.0),
    ("regress_time", math.inf),
    ("regress_min_drop", 1.5),
    ("camera_timeout", 0.0),
    ("inbox_size", 0),
    ("on_clock_jump", "ignore"),
]
NAMES = [f"{name}-{index}" for index, (name, _) in enumerate(BAD)]
_numbers = itertools.count()
pytestmark = pytest.mark.usefixtures("context")


class Rig:
    """A bare node with the parameters."""

    def __init__(self, state: str = "unconfigured", **given: object) -> None:
        self.state = state
        self.changed: list[tuple[str, object]] = []
        self.node = Node(
            f"parameters_{next(_numbers)}",
            parameter_overrides=[Parameter(name, value=value) for name, value in given.items()],
            use_global_arguments=False,
        )
        self.parameters = LiveParameters(
            self.node, lambda: self.state, lambda name, value: self.changed.append((name, value))
        )

    def set(self, name: str, value: object) -> str:
        """Returns the reason of a refusal, or ""."""
        return self.node.set_parameters([Parameter(name, value=value)])[0].reason

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.node.destroy_node()


def test_every_default_is_allowed_and_typed_and_described():
    with Rig() as rig:
        assert rig.parameters.read() == pytest.approx(RewardParameters(), nan_ok=True) or str(
            rig.parameters.read()
        ) == str(RewardParameters())
        for name in RULES:
            descriptor = rig.node.describe_parameter(name)
            assert descriptor.description and not descriptor.dynamic_typing


@pytest.mark.parametrize(("name", "value"), BAD, ids=NAMES)
def test_a_bad_value_is_refused_by_a_sentence_that_names_the_parameter(name, value):
    with Rig() as rig:
        before = rig.node.get_parameter(name).value
        reason = rig.set(name, value)
        assert name in reason
        assert str(rig.node.get_parameter(name).value) == str(before)
        assert not rig.changed
    problem = refusal(RULES[name], name, value)
    assert problem.startswith(f"{name} is ") and "expected" in problem and len(problem) < 400


@pytest.mark.parametrize(("name", "value"), BAD, ids=NAMES)
def test_a_bad_value_at_the_start_is_told_until_it_is_set_right(name, value):
    with Rig(**{name: value}) as rig:
        with pytest.raises(ParameterError, match=f"^{name} is "):
            rig.parameters.read()
        default = RULES[name].default
        good = list(default) if isinstance(default, tuple) else default
        assert rig.set(name, good) == ""
        rig.parameters.read()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("sample_rate", "fast", "a number"),
        ("max_pairs", 2.5, "a whole number"),
        ("motion_gate", 1, "true or false"),
        ("cameras", "/camera", "a list of texts"),
        ("frame_size", [96.0, 96.0], "a list of 2 whole numbers"),
    ],
)
def test_a_value_of_another_type_at_the_start_is_told_not_raised(name, value, expected):
    sentence = f"^{name} is .*; expected {expected}: "
    with Rig(**{name: value}) as rig, pytest.raises(ParameterError, match=sentence):
        rig.parameters.read()


def test_a_long_value_is_shown_in_part():
    sentence = refusal(RULES["instruction"], "instruction", "x" * 10_000)
    assert len(sentence) < 300 and "xxx...; expected" in sentence


def test_a_whole_number_at_the_start_serves_as_a_real_one():
    with Rig(sample_rate=2, success_threshold=-3) as rig:
        parameters = rig.parameters.read()
        assert (parameters.sample_rate, parameters.success_threshold) == (2.0, -3.0)
        assert isinstance(parameters.sample_rate, float)


def test_more_cameras_than_the_layout_holds_are_told():
    cameras = [f"/camera_{index}" for index in range(6)]
    with (
        Rig(layout="main_inset", cameras=cameras) as rig,
        pytest.raises(ParameterError, match=r"layout.*cameras"),
    ):
        rig.parameters.read()


def test_a_layout_that_cannot_hold_the_cameras_is_refused_later_too():
    with Rig("active", cameras=[f"/camera_{index}" for index in range(6)]) as rig:
        assert "contradict" in rig.set("layout", "main_inset")
        assert rig.set("layout", "grid") == ""
        rig.parameters.read()


@pytest.mark.parametrize("state", ["inactive", "active", "configuring"])
def test_what_the_model_was_loaded_with_stays_while_it_is_loaded(state):
    with Rig(state) as rig:
        assert f"it is {state}" in rig.set("model", "demo")
        assert rig.set("success_hold", 3.0) == ""
        assert rig.set("instruction", "open the drawer") == ""
        assert rig.changed == [("success_hold", 3.0), ("instruction", "open the drawer")]


def test_autostart_is_read_only():
    with Rig() as rig:
        assert "read-only" in rig.set("autostart", True)
