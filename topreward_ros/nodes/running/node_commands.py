"""Command lines that start this package's nodes without launch, and the files that come with it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import topreward_ros

ENCLAVES = "/topreward"
"""Below it, the enclave of each node, as in config/security; they count in a secured graph only."""


def node_command(
    node: str,
    parameters: Mapping[str, Any],
    *,
    files: Sequence[Path] = (),
    namespace: str = "",
    extra: Sequence[str] = (),
) -> list[str]:
    """Returns program and arguments that run a node in a process of its own.

    Args:
        node: its name, one of `programs.WINGS`.
        parameters: by name; they rule over the files.
        files: parameter files, the later ones rule.
        namespace: of the node; empty: its own.
        extra: more ROS arguments.
    """
    command = [sys.executable, "-m", "topreward_ros.nodes.programs", node, "--ros-args"]
    command += ["--enclave", f"{ENCLAVES}/{node}"]
    if namespace:
        command += ["-r", f"__ns:=/{namespace.strip('/')}"]
    for file in files:
        command += ["--params-file", str(file)]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={_yaml(value)}"]
    return [*command, *extra]


def package_directory(name: str) -> Path:
    """Returns a directory that comes with the package: in its sources or where it is installed.

    Args:
        name: `config` or `demo`.

    Raises:
        FileNotFoundError: the package is installed without it.
    """
    source = Path(topreward_ros.__file__).resolve().parents[1]
    if (source / "package.xml").exists() and (source / name).is_dir():
        return source / name
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        installed = Path(get_package_share_directory("topreward_ros")) / name
    except PackageNotFoundError:
        installed = source / name
    if not installed.is_dir():
        raise FileNotFoundError(f"The package has no directory {name}; build it (colcon build).")
    return installed


def _yaml(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    # JSON is YAML, and its quotes keep "yes", "1e3" and the like what they are: texts.
    return json.dumps(value, ensure_ascii=False)
