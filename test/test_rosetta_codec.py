"""What rosetta reads of a reading, and that it finds how."""

from __future__ import annotations

import importlib.metadata
import math
from types import SimpleNamespace

import numpy as np
import pytest
from repository import ROOT

from topreward_ros.rosetta_codec import READING, decode_reading


def stream(*names: str) -> SimpleNamespace:
    return SimpleNamespace(names=names)


@pytest.fixture
def reading():
    messages = pytest.importorskip("topreward_msgs.msg")
    return messages.RewardStamped(
        reward=0.25, progress=0.5, log_prob=math.nan, success=True, index=7, model="demo"
    )


def test_a_reading_is_its_reward_where_nothing_is_selected(reading):
    value = decode_reading(reading, stream())
    assert value.dtype == np.float64 and value.tolist() == [0.25]


def test_selected_fields_come_in_their_order_and_flags_are_numbers(reading):
    value = decode_reading(reading, stream("success", "progress", "index", "log_prob"))
    assert value[:3].tolist() == [1.0, 0.5, 7.0] and math.isnan(value[3])


def test_a_readings_stamp_is_the_time_of_its_picture_in_seconds(reading):
    reading.header.stamp.sec, reading.header.stamp.nanosec = 1_700_000_000, 123_456_789
    (stamp,) = decode_reading(reading, stream("stamp"))
    assert stamp == pytest.approx(1_700_000_000.123456789, abs=2.4e-7)


@pytest.mark.parametrize("name", ["model", "header", "rewards"])
def test_what_is_no_number_is_refused_with_what_is_one(reading, name):
    with pytest.raises(ValueError, match=f"{name!r} is no number of a reading") as refused:
        decode_reading(reading, stream(name))
    assert "reward, " in str(refused.value) and "model," not in str(refused.value)


def test_the_installed_package_tells_rosetta_of_the_decoder():
    index = pytest.importorskip("ament_index_python.packages")
    try:
        index.get_package_prefix("topreward_ros")
    except index.PackageNotFoundError:
        pytest.skip("the package is not built: scripts/setup builds it")
    found = importlib.metadata.entry_points(group="rosetta.codecs", name="topreward")
    assert {one.value for one in found} == {decode_reading.__module__}
    assert (ROOT / "msg" / f"{READING.rsplit('/', 1)[1]}.msg").is_file()


def test_rosetta_itself_finds_the_decoder():
    codecs = pytest.importorskip("rosetta.frames.codecs")
    assert codecs.get_decoder_dtype(READING) == "float64"
    assert codecs.DECODERS[READING].__module__ == decode_reading.__module__
