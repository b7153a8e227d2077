"""Rules of the package as a whole: its arrows, its scripts, its parameters, its versions."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import re
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from repository import ROOT

PACKAGE = ROOT / "topreward_ros"
MODULES = sorted(PACKAGE.rglob("*.py"))
TOOLS = sorted((ROOT / "tools").rglob("*.py"))

# What a room may import besides itself. A module belongs to the longest of these names that its
# own begins with; within `nodes`, what lies at its root is shared by all wings.
ARROWS = {
    "printable": set(),
    "small_files": set(),
    "whole_file": set(),
    "method": set(),
    "video": set(),
    "video.recordings": {"video"},
    "models.video_unit": set(),
    "models.server_health": set(),
    "models.configuration_text": set(),
    "models.contract": {"method", "models.server_health"},
    "models.answer": set(),
    "models.runtime": set(),
    "models.backbone": {
        "method",
        "models.contract",
        "models.answer",
        "models.runtime",
        "models.video_unit",
    },
    "models.families": {
        "method",
        "models.contract",
        "models.answer",
        "models.runtime",
        "models.backbone",
        "models.video_unit",
    },
    "models.streaming": {
        "models.contract",
        "models.runtime",
        "models.backbone",
        "models.video_unit",
    },
    "models.scorer": {
        "models.configuration_text",
        "models.contract",
        "models.backbone",
        "models.streaming",
        "models.video_unit",
    },
    "models.writing": {"models.contract", "models.backbone", "models.scorer"},
    "models.checkpoints": {
        "method",
        "models.contract",
        "models.runtime",
        "models.families",
        "models.streaming",
        "models.scorer",
    },
    "models.served": {
        "models.configuration_text",
        "method",
        "models.contract",
        "models.server_health",
        "models.video_unit",
        "models.families",
        "models.streaming",
        "models.checkpoints",
    },
    "models.loading": {
        "models.contract",
        "models.checkpoints",
        "models.served",
        "models.streaming",
    },
    "commands": set(),
    "quiet_ray": set(),
    "serving": {"commands", "quiet_ray", "method", "models"},
    "rosetta_codec": set(),
    "episode_settings": {"method", "video", "models"},
    "episode": {"episode_settings", "method", "video", "models"},
    "offline": {
        "commands",
        "quiet_ray",
        "episode_settings",
        "episode",
        "method",
        "video",
        "models",
    },
    "nodes": {"episode", "method", "video", "models"},
    "nodes.reward": {"nodes", "episode_settings", "episode", "method", "video", "models"},
    "nodes.manager": {"nodes", "method"},
    "nodes.viewing": {"nodes", "offline", "video"},
    "nodes.replay": {"nodes", "video"},
    "nodes.running": {"commands", "nodes", "nodes.viewing", "offline", "method", "video"},
}
TOOL_ARROWS = {
    "pieces": set(),
    "simulation": set(),
    "training": {"pieces", "simulation"},
    "evaluation": {"simulation", "training"},
    "stack": set(),
}
"""The same of tools/; the commands at its root may import all of them."""
EVERYWHERE = {"printable", "small_files", "whole_file"}
"""Rooms that all others may import."""
LONGEST_MODULE = 300
"""Lines."""
MODEL_LIBRARIES = {"torch", "transformers", "bitsandbytes", "safetensors", "tokenizers"}
OPTIONAL = {"controller_manager_msgs"}  # for a kind of stop action that says so when it is missing
ROS_LIBRARIES = {"rclpy", "launch", "launch_ros", "ament_index_python"}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imports(path: Path) -> frozenset[str]:
    """Names of all modules that a file imports, inside of functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    return parser


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def module_name(path: Path) -> str:
    """Its dotted name below the package; a folder's for its `__init__`."""
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix("__init__").removesuffix(".")


def room_of(name: str) -> str:
    """The room of a module by its dotted name below the package; "" for the package itself."""
    fitting = [room for room in ARROWS if name == room or name.startswith(f"{room}.")]
    return max(fitting, key=len, default="")


def imported(path: Path) -> set[str]:
    """The package's own modules that a file imports, by their dotted names below it."""
    known = {module_name(module) for module in MODULES}
    names = {name.removeprefix("topreward_ros.") for name in imports(path)}
    # Of `from room import name`, the room where `name` is not a module.
    return {name if name in known else name.rpartition(".")[0] for name in names} & known - {""}


def test_every_module_belongs_to_a_room() -> None:
    nowhere = {path for path in MODULES if not room_of(module_name(path))}
    assert {path.relative_to(PACKAGE).as_posix() for path in nowhere} == {
        "__init__.py",
        "models/__init__.py",
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_between_the_rooms_run_one_way(path: Path) -> None:
    room = room_of(module_name(path))
    allowed = ARROWS.get(room, set()) | {room} | EVERYWHERE

    def fits(other: str) -> bool:
        # A room stands for all that are below it, where whoever imports it is outside of it.
        whole = other.split(".")[0]
        return room_of(other) in allowed or (whole != room.split(".")[0] and whole in allowed)

    assert {other for other in imported(path) if not fits(other)} == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    sorter = TopologicalSorter({module_name(path): imported(path) for path in MODULES})
    sorter.prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("room", TOOL_ARROWS)
def test_arrows_between_the_rooms_of_the_tools_run_one_way(room: str) -> None:
    used = {
        name.split(".")[1]
        for path in TOOLS
        if path.relative_to(ROOT / "tools").parts[0].removesuffix(".py") == room
        for name in imports(path)
        if name.startswith("tools.")
    }
    assert used <= TOOL_ARROWS[room] | {room}


def test_no_tools_import_each_other_in_a_circle() -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in TOOLS}
    used = {name: imports(path) for name, path in names.items()}
    graph = {name: each | {one.rpartition(".")[0] for one in each} for name, each in used.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_no_module_is_too_long_to_be_one_concept() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in [*MODULES, *TOOLS]}
    assert not {str(path): n for path, n in lengths.items() if n > LONGEST_MODULE}


def test_names_of_test_files_are_unique() -> None:
    """Pytest imports them by these alone, and refuses a second one."""
    names = [path.name for path in (ROOT / "test").rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)


def test_no_folder_is_a_wall() -> None:
    folders = Counter(path.parent for path in [*MODULES, *TOOLS])
    assert not {str(folder): n for folder, n in folders.items() if n > 26}  # 25 and `__init__`


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_models_knows_torch_and_only_nodes_knows_ros(path: Path) -> None:
    part, used = part_of(path), packages(path)
    if part != "models":
        assert not used & MODEL_LIBRARIES
    if part != "nodes":
        assert not used & ROS_LIBRARIES
        assert not {name for name in used if name.endswith("_msgs")}
    if part != "video":
        assert "cv_bridge" not in used


def test_the_package_never_imports_its_tools_or_tests() -> None:
    for path in MODULES:
        assert not packages(path) & {"tools", "test", "benchmarks"}, path


def test_no_module_is_named_after_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "base", "misc", "core", "manager"}
    assert not {path.stem for path in [*MODULES, *TOOLS]} & empty


def test_everything_but_models_is_imported_without_loading_torch_or_ray() -> None:
    pytest.importorskip("rclpy")
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in MODULES
        if part_of(path) not in ("models", "__init__") and path.stem != "__init__"
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        "    heavy = {'torch', 'transformers', 'ray', 'rerun'} & set(sys.modules)\n"
        "    assert not heavy, f'{name} loads {heavy}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", lines(config()["options.entry_points"]["console_scripts"]))
def test_every_console_script_names_a_function_that_is_there(script: str) -> None:
    module, function = script.split("=")[1].strip().split(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"{module} does not exist"
    tree = ast.parse(Path(spec.origin).read_text())
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_console_script_is_installed_for_ros2_run() -> None:
    index = pytest.importorskip("ament_index_python.packages")
    try:
        prefix = Path(index.get_package_prefix("topreward_ros"))
    except index.PackageNotFoundError:
        pytest.skip("the package is not built: scripts/setup builds it")
    scripts = {
        line.split("=")[0].strip()
        for line in lines(config()["options.entry_points"]["console_scripts"])
    }
    assert scripts == {path.name for path in (prefix / "lib/topreward_ros").iterdir()}


def test_what_nodes_need_at_run_time_is_installed_with_the_package() -> None:
    index = pytest.importorskip("ament_index_python.packages")
    try:
        prefix = Path(index.get_package_prefix("topreward_ros"))
    except index.PackageNotFoundError:
        pytest.skip("the package is not built: scripts/setup builds it")
    share = prefix / "share/topreward_ros"
    for folder in ("launch", "config", "demo"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                assert (share / path.relative_to(ROOT)).is_file(), path


def test_data_files_of_the_python_package_are_declared() -> None:
    declared = {
        path
        for package, patterns in config()["options.package_data"].items()
        for pattern in lines(patterns)
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    found = {
        path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
        if not any(part.startswith(".") for part in path.relative_to(PACKAGE).parts)
    }
    assert found <= declared


@pytest.mark.parametrize(
    ("file", "node", "module", "kind"),
    [
        ("reward", "reward_node", "reward.parameters", "RewardParameters"),
        ("reward", "overlay_node", "viewing.overlay_parameters", "OverlayParameters"),
        ("reward", "rerun_node", "viewing.rerun_parameters", "RerunParameters"),
        ("replay", "replay_node", "replay.parameters", "ReplayParameters"),
    ],
)
def test_a_configuration_shows_every_parameter_with_its_default(
    file: str, node: str, module: str, kind: str
) -> None:
    pytest.importorskip("rclpy")
    rules = fields(getattr(import_module(f"topreward_ros.nodes.{module}"), kind))
    shown = yaml.safe_load((ROOT / "config" / f"{file}.yaml").read_text())
    shown = shown[f"/**/{node}"]["ros__parameters"]
    defaults = {
        rule.name: list(rule.default) if isinstance(rule.default, tuple) else rule.default
        for rule in rules
    }
    assert repr(dict(sorted(shown.items()))) == repr(dict(sorted(defaults.items())))  # NaN, types


def test_every_parameter_in_a_configuration_is_explained_above_it() -> None:
    for path in (ROOT / "config").glob("*.yaml"):
        above = ""
        for line in path.read_text().splitlines():
            if re.match(r"    \w+:", line):
                assert above.startswith("    #"), f"{path.name}: {line}"
            above = line


def test_both_packages_have_the_same_version_and_licence() -> None:
    manifests = [ElementTree.parse(ROOT / name) for name in ("package.xml", "msg/package.xml")]
    assert len({manifest.findtext("version") for manifest in manifests}) == 1
    assert {manifest.findtext("license") for manifest in manifests} == {"Apache-2.0"}
    assert config()["metadata"]["license"] == "Apache-2.0"


def test_versions_are_pinned_in_setup_cfg_alone() -> None:
    pinned = {
        re.split(r"[=<>]", requirement)[0]
        for section, key in (
            ("options", "install_requires"),
            ("options.extras_require", "models"),
            ("options.extras_require", "datasets"),
            ("options.extras_require", "cluster"),
            ("options.extras_require", "apis"),
            ("options.extras_require", "serve"),
            ("options.extras_require", "rerun"),
            ("options.extras_require", "test"),
        )
        for requirement in lines(config()[section][key])
    }
    pattern = re.compile(
        rf"(?<![\w-])({'|'.join(map(re.escape, pinned))})\s*(==|>=|~=|<)\s*\d", re.I
    )
    others = [
        *(ROOT / "scripts").iterdir(),
        *ROOT.glob("*.toml"),
        *ROOT.glob("*.md"),
        ROOT / "Makefile",
        ROOT / ".ci/run",
    ]
    for path in others:
        if path.is_file():
            found = [
                match[0] for match in map(pattern.search, path.read_text().splitlines()) if match
            ]
            assert not found, path


def test_every_message_package_in_use_is_declared_to_rosdep() -> None:
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    declared = {item.text for item in manifest if item.tag.endswith("depend")}
    used = {
        name
        for path in MODULES
        for name in packages(path)
        if name.endswith("_msgs") or name in ROS_LIBRARIES | {"cv_bridge", "rcl_interfaces"}
    }
    assert used - OPTIONAL - {"topreward_msgs"} <= declared


def test_every_interface_file_is_built() -> None:
    listed = (ROOT / "msg/CMakeLists.txt").read_text()
    files = [path for kind in ("msg", "srv", "action") for path in (ROOT / kind).glob(f"*.{kind}")]
    assert files
    for path in files:
        assert f"{path.parent.name}/{path.name}" in listed, path
