"""The SROS2 policies allow what the real nodes have on the graph, and nothing else."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
import yaml
from isolation import Domain
from repository import ROOT

pytest.importorskip("rclpy")
from tools.security_policies import ENCLAVES, WITHOUT, names, needed

FOLDER = ROOT / "config" / "security"
# As in sros2/policy/schemas/policy.xsd: what stands in what, and with which attributes.
CHILDREN = {
    "policy": {"enclaves"},
    "enclaves": {"enclave"},
    "enclave": {"profiles"},
    "profiles": {"profile"},
    "profile": {"topics", "services", "actions"},
    "topics": {"topic"},
    "services": {"service"},
    "actions": {"action"},
}
ATTRIBUTES = {
    "policy": {"version"},
    "enclave": {"path"},
    "profile": {"ns", "node"},
}
MAY = {
    "topics": {"publish", "subscribe"},
    "services": {"reply", "request"},
    "actions": {"call", "execute"},
}


def allowed(profile: ElementTree.Element) -> set[tuple[str, str, str]]:
    return {
        (group.tag, may, entry.text)
        for group in profile
        for may, word in group.items()
        if word == "ALLOW"
        for entry in group
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_each_node_may_do_what_it_does_and_nothing_else(name) -> None:
    pytest.importorskip("rerun", reason="the extra [rerun] is not installed")
    root = ElementTree.parse(FOLDER / f"{name}.xml").getroot()
    written = {profile.get("node"): allowed(profile) for profile in root.iter("profile")}
    domain = Domain()
    real = needed(name, domain.number)
    domain.release()
    assert written.keys() == real.keys()
    for node, rights in real.items():
        assert len(rights) > 5
        missing, unused = rights - written[node], written[node] - rights
        assert not missing and not unused, f"{node}: run python -m tools.security_policies"


@pytest.mark.parametrize("name", names())
def test_a_policy_has_the_form_that_sros2_reads(name) -> None:
    root = ElementTree.parse(FOLDER / f"{name}.xml").getroot()
    assert root.tag == "policy" and root.get("version") == "0.2.0"
    for element in root.iter():
        children = [child.tag for child in element]
        assert set(children) <= CHILDREN.get(element.tag, set())
        assert bool(children) is (element.tag in CHILDREN)
        if element.tag in MAY:
            assert set(element.keys()) <= MAY[element.tag] and set(element.attrib.values()) == {
                "ALLOW"
            }
        else:
            assert set(element.keys()) == ATTRIBUTES.get(element.tag, set())
    assert all("*" not in entry.text for entry in root.iter() if entry.text)


@pytest.mark.parametrize("name", names())
def test_a_policy_has_one_enclave_for_each_node(name) -> None:
    root = ElementTree.parse(FOLDER / f"{name}.xml").getroot()
    for enclave in root.iter("enclave"):
        profiles = list(enclave.iter("profile"))
        assert [enclave.get("path")] == [f"{ENCLAVES}/{one.get('node')}" for one in profiles]


def test_the_programs_run_in_the_enclaves_that_the_policies_name() -> None:
    from topreward_ros.nodes.running.stack import commands, parse

    root = ElementTree.parse(FOLDER / f"{WITHOUT}.xml").getroot()
    known = {enclave.get("path") for enclave in root.iter("enclave")}
    for node, command in commands(parse(["--manager", "--overlay"])).items():
        assert command[command.index("--enclave") + 1] in known
        assert command[command.index("--enclave") + 1].endswith(f"/{node}")


def test_the_manager_of_a_rig_may_stop_its_robot_and_others_may_not() -> None:
    for rig in set(names()) - {WITHOUT}:
        manager = yaml.safe_load((ROOT / f"config/rigs/{rig}.yaml").read_text())
        manager = manager["/**/episode_manager"]["ros__parameters"]
        root = ElementTree.parse(FOLDER / f"{rig}.xml").getroot()
        for action in filter(None, manager["stop_actions"]):
            kind = {"trigger": ("services", "request"), "string": ("topics", "publish")}
            right = (*kind[manager[action]["type"]], manager[action]["target"])
            who = [one.get("node") for one in root.iter("profile") if right in allowed(one)]
            assert who == ["episode_manager"]
