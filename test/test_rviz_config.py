"""What RViz, PlotJuggler and Foxglove are given fits the topics and fields there are."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest
import yaml
from repository import ROOT

from topreward_msgs.msg import RewardStamped

CONFIG = ROOT / "config"
STOCK = "rviz_default_plugins/"
READING = "/topreward/reward_node/reading"
TOPICS = {
    "rviz_default_plugins/Image": "/topreward/overlay_node/overlay",
    "rviz_default_plugins/MarkerArray": "/topreward/overlay_node/markers",
    "rviz_2d_overlay_plugins/PieChartOverlay": "/topreward/reward_node/progress",
}
# The displays, tools and views that rviz_default_plugins' plugins_description.xml has, as used.
STOCK_CLASSES = {
    STOCK + name
    for name in (
        *("Grid", "Image", "MarkerArray", "RobotModel", "TF"),
        *("FocusCamera", "Interact", "Measure", "MoveCamera", "Select", "Orbit"),
    )
}
PANELS = {"rviz_common/Displays", "rviz_common/Views", "rviz_common/Time"}


def rviz(name: str) -> dict:
    return yaml.safe_load((CONFIG / f"rviz/{name}.rviz").read_text())


def classes(part: object) -> set[str]:
    """Every `Class` anywhere in a configuration."""
    if isinstance(part, list):
        return set().union(*map(classes, part)) if part else set()
    if not isinstance(part, dict):
        return set()
    own = {part["Class"]} if part.get("Class") else set()
    return own.union(*map(classes, part.values()))


def displays(name: str) -> dict[str, dict]:
    return {one["Class"]: one for one in rviz(name)["Visualization Manager"]["Displays"]}


@pytest.mark.parametrize(
    ("name", "more"),
    [("topreward", set()), ("topreward_overlay", {"rviz_2d_overlay_plugins/PieChartOverlay"})],
)
def test_rviz_is_given_only_classes_that_exist_and_the_stock_file_only_stock_ones(name, more):
    used = classes(rviz(name))
    assert used - PANELS <= STOCK_CLASSES | more
    assert more <= used


@pytest.mark.parametrize("name", ["topreward", "topreward_overlay"])
def test_rviz_displays_show_this_packages_topics_and_are_on(name):
    shown = displays(name)
    expected = {c: t for c, t in TOPICS.items() if c.startswith(STOCK) or "overlay" in name}
    for kind, topic in expected.items():
        assert shown[kind]["Topic"]["Value"] == topic
        assert shown[kind]["Enabled"] is True


def test_rviz_asks_for_the_qos_that_is_offered():
    """Markers are latched; a volatile display would wait for the next change."""
    shown = displays("topreward")
    assert shown["rviz_default_plugins/MarkerArray"]["Topic"]["Durability Policy"] == (
        "Transient Local"
    )
    assert shown["rviz_default_plugins/Image"]["Topic"]["Durability Policy"] == "Volatile"


def test_plotjugglers_curves_are_fields_of_the_reading_and_its_topic_is_subscribed():
    root = ElementTree.parse(CONFIG / "plotjuggler/topreward.xml").getroot()
    curves = {curve.get("name") for curve in root.iter("curve")}
    names = {curve.removeprefix(READING + "/") for curve in curves}
    assert {"progress", "log_prob", "reward", "success", "success_threshold"} <= names
    assert names <= set(RewardStamped.get_fields_and_field_types())
    assert root.find(".//selected_topics").get("value") == READING
    (splitter,) = root.iter("DockSplitter")
    assert int(splitter.get("count")) == len(splitter) == len(splitter.get("sizes").split(";"))


def test_foxgloves_panels_are_all_laid_out_and_read_fields_that_are_there():
    layout = json.loads((CONFIG / "foxglove/topreward.json").read_text())

    def panels(node: object) -> set[str]:
        return {node} if isinstance(node, str) else panels(node["first"]) | panels(node["second"])

    assert panels(layout["layout"]) == set(layout["configById"])
    kinds = {name.partition("!")[0] for name in layout["configById"]}
    assert {"Image", "Plot", "StateTransitions", "RawMessages", "Log"} <= kinds
    text = json.dumps(layout)
    fields = set(re.findall(rf"{READING}\.(\w+)", text))
    assert {"progress", "log_prob", "reward", "success"} <= fields
    assert fields <= set(RewardStamped.get_fields_and_field_types())
    assert (
        layout["configById"]["Image!overlay"]["imageMode"]["imageTopic"]
        == (TOPICS["rviz_default_plugins/Image"])
    )


@pytest.mark.parametrize("name", ["topreward", "topreward_overlay"])
def test_rvizs_window_is_arranged(name):
    """Without a state five panels share one column, and the 3D view is a sliver."""
    window = rviz(name)["Window Geometry"]
    assert bytes.fromhex(window["QMainWindow State"])[:4] == b"\0\0\0\xff"  # Qt's own mark
    assert window["Width"] >= 1280 and window["Height"] >= 800
