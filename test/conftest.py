"""Keeps tests away from all else on the machine and in the network; begins what many need."""

import importlib
import logging
import os
import tempfile
from contextlib import suppress

import hypothesis
import pytest
from isolation import Domain, let_children_be_interrupted

# Others load the machine meanwhile: an example may take any time.
hypothesis.settings.register_profile("topreward", deadline=None)
hypothesis.settings.load_profile("topreward")
DOMAIN = Domain()  # of this process: each worker of pytest-xdist is one
# Before anything imports rclpy.
os.environ["ROS_DOMAIN_ID"] = str(DOMAIN.number)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
HOME = tempfile.TemporaryDirectory(prefix="ros_home_", ignore_cleanup_errors=True)
os.environ["ROS_HOME"] = HOME.name  # what a manager owes to a robot is none of the tests' business
let_children_be_interrupted()
# The models are small: on few cores, threads of several processes would only await each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS", "ROS_NAMESPACE"):
    os.environ.pop(name, None)
# launch, which pytest loads as a plugin where ROS is installed, makes all loggers from then on such
# that pass nothing on to those above them.
with suppress(ImportError):
    importlib.import_module("launch.logging")
logging.setLoggerClass(logging.Logger)


def pytest_collection_finish() -> None:
    """All that is imported for good is there by now."""
    importlib.import_module("frozen_heap")


@pytest.fixture(scope="module", autouse=True)
def no_real_time_priority():
    """A library that takes it for the whole process leaves nothing to all others, for hours."""
    yield
    assert os.sched_getscheduler(0) == os.SCHED_OTHER, "these tests made their process real-time"


# Imported in the fixtures alone: tests that need no ROS and no model run where there is none.
@pytest.fixture(scope="module")
def context():
    """ROS, begun and ended with the module."""
    import rclpy

    rclpy.init()
    yield
    rclpy.shutdown()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint for nodes, 64 x 64 px, with its settings."""
    from reward_stack import write_checkpoint

    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The smallest checkpoint alone, as transformers loads it."""
    from checkpoints import write_qwen3_vl

    return str(write_qwen3_vl(tmp_path_factory.mktemp("small")))
