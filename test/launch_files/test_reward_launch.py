"""`ros2 launch topreward_ros reward.launch.py` starts the node as its arguments say, and ends it.

Skipped where launch is not installed, as with ROS 2 from PyPI.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

launch_pytest = pytest.importorskip("launch_pytest")
rclpy = pytest.importorskip("rclpy")

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from checkpoints import write_qwen3_vl
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_pytest.actions import ReadyToTest
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python

PATIENCE = 120.0


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(write_qwen3_vl(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def observer():
    rclpy.init()
    node = rclpy.create_node("observer")
    yield node
    node.destroy_node()
    rclpy.shutdown()


def included(**arguments):
    """The launch file as somebody else's launch file includes it."""
    path = f"{get_package_share_directory('topreward_ros')}/launch/reward.launch.py"
    source = PythonLaunchDescriptionSource(path)
    return IncludeLaunchDescription(source, launch_arguments=arguments.items())


def described(**arguments):
    return LaunchDescription([included(**arguments), ReadyToTest()])


def ask(node, kind, name, request):
    """Calls a service; waits for its server."""
    client = node.create_client(kind, name)
    assert client.wait_for_service(PATIENCE), f"{name} did not appear"
    future = client.call_async(request)
    rclpy.spin_until_future_complete(node, future, timeout_sec=PATIENCE)
    node.destroy_client(client)
    assert future.done(), f"{name} did not answer"
    return future.result()


def state(node, name):
    return ask(node, GetState, f"{name}/get_state", GetState.Request()).current_state.label


def reaches(node, name, *labels):
    """Whether a lifecycle node comes to be in the state."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if state(node, name) in labels:
            return True
    return False


def parameters(node, name, *names):
    request = GetParameters.Request(names=list(names))
    values = ask(node, GetParameters, f"{name}/get_parameters", request).values
    return [parameter_value_to_python(value) for value in values]


@launch_pytest.fixture
def started(checkpoint, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        "/**/reward_node:\n  ros__parameters:\n    success_window: 7\n    device: auto\n"
    )
    return described(
        model=checkpoint,
        instruction="true",  # a text for all that YAML thinks of it
        device="cpu",
        cameras="[/left/image_raw, /right/image_raw]",
        params_file=str(own),
    )


@pytest.mark.launch(fixture=started)
def test_the_node_comes_up_active_by_itself_with_arguments_over_own_file_over_defaults(
    observer, checkpoint
):
    assert reaches(observer, "/topreward/reward_node", "active")
    expected = {
        "model": checkpoint,
        "instruction": "true",
        "device": "cpu",
        "cameras": ["/left/image_raw", "/right/image_raw"],
        "success_window": 7,
        "success_hold": 1.0,
    }
    values = parameters(observer, "/topreward/reward_node", *expected)
    assert dict(zip(expected, values, strict=True)) == expected


@launch_pytest.fixture
def waiting(checkpoint):
    return described(model=checkpoint, autostart="false", namespace="left/arm", use_sim_time="true")


@pytest.mark.launch(fixture=waiting)
def test_without_autostart_the_node_stays_unconfigured_in_its_namespace(observer):
    name = "/left/arm/reward_node"
    assert state(observer, name) == "unconfigured"
    assert parameters(observer, name, "use_sim_time", "autostart") == [True, False]


@launch_pytest.fixture
def managed(checkpoint):
    return described(
        model=checkpoint, device="cpu", instruction="go", manager="true", overlay="true"
    )


@pytest.mark.launch(fixture=managed)
def test_the_manager_brings_the_node_up_and_the_overlay_stands_beside_it(observer):
    assert parameters(observer, "/topreward/reward_node", "autostart") == [False]
    parameters(observer, "/topreward/episode_manager", "use_sim_time")
    parameters(observer, "/topreward/overlay_node", "use_sim_time")
    assert reaches(observer, "/topreward/reward_node", "active", "inactive")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"rig": "teapot"}, "rig is 'teapot'; expected a parameter file or a known rig"),
        ({"rviz": "true", "rviz_config": "teapot"}, "rviz_config is 'teapot'; expected "),
        ({"params_file": "/nowhere.yaml"}, "params-file is '/nowhere.yaml'; expected a parameter"),
        ({"rviz": "true"}, "rviz2 is not installed here"),
    ],
)
def test_what_is_not_there_is_named_before_anything_starts(arguments, sentence):
    here = Path(__file__).parent
    code = (
        f"import sys; sys.path += {[str(here.parent), str(here.parent / 'model_sources')]!r}\n"
        "from launch import LaunchDescription, LaunchService\n"
        "from test_reward_launch import included\n"
        "service = LaunchService(noninteractive=True)\n"
        f"service.include_launch_description(LaunchDescription([included(**{arguments!r})]))\n"
        "sys.exit(service.run())\n"
    )
    alone = {**os.environ, "AMENT_PREFIX_PATH": get_package_prefix("topreward_ros")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here, env=alone, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert sentence in done.stdout + done.stderr
    assert "process started" not in done.stdout + done.stderr
