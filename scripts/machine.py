"""What this machine offers to the workspace: Python, compilers, ROS, a GPU, disk, each checked."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from pathlib import Path

SUPPORTED_ROS = ("jazzy", "kilted")
WHEELS = "wheels"


class SetupError(Exception):
    """Why the workspace cannot be made, in one sentence that says what to do."""


def check_python() -> None:
    """Raises SetupError when this Python cannot make the workspace's virtual environment."""
    name = "{}.{}".format(*sys.version_info[:2])
    if not sys.platform.startswith("linux"):
        raise SetupError(f"This package runs on Linux; this is {sys.platform}. Use a container.")
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        raise SetupError(
            f"Python {name} ({sys.executable}) does not fit: 3.10 to 3.13 do; "
            "name one with PYTHON=/path/to/python3."
        )
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        raise SetupError(
            f"Python {name} cannot make virtual environments: sudo apt install python{name}-venv"
        )


def check_compiler() -> None:
    """Raises SetupError when the message packages could not be compiled here."""
    for tool, names in (
        ("C compiler", (os.environ.get("CC", "cc"), "gcc", "clang")),
        ("C++ compiler", (os.environ.get("CXX", "c++"), "g++", "clang++")),
        ("make", ("make", "gmake")),
    ):
        if not any(shutil.which(name) for name in names):
            raise SetupError(
                f"No {tool} was found, and the message package has to be compiled: "
                "sudo apt install build-essential"
            )
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.exists():
        name = "{}.{}".format(*sys.version_info[:2])
        raise SetupError(
            f"{header} is missing, and the message package is compiled against it: "
            f"sudo apt install python{name}-dev"
        )


def check_disk(directory: Path, needed: float, purpose: str) -> None:
    """Raises SetupError when less than `needed` bytes are free where `directory` lies."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise SetupError(
            f"Too little disk space for {purpose}: {directory} needs {needed / 1e9:.1f} GB and has "
            f"{free / 1e9:.1f} GB free; make room and call again."
        )


def find_ros(wanted: str) -> str:
    """Chooses the ROS installation.

    Args:
        wanted: "auto", "wheels", or the directory of an installation.

    Returns:
        The directory that holds `setup.bash`, or "wheels".

    Raises:
        SetupError: `wanted` names a directory without `setup.bash`.
    """
    if wanted == WHEELS:
        return WHEELS
    if wanted != "auto":
        if not (Path(wanted) / "setup.bash").exists():
            raise SetupError(f"{wanted} is no ROS installation: it holds no setup.bash.")
        return str(Path(wanted).resolve())
    for distro in (os.environ.get("ROS_DISTRO", ""), *SUPPORTED_ROS):
        if distro in SUPPORTED_ROS and Path("/opt/ros", distro, "setup.bash").exists():
            return f"/opt/ros/{distro}"
    return WHEELS


def has_gpu() -> bool:
    """Tells whether an NVIDIA GPU is there."""
    return Path("/dev/nvidia0").exists() or Path("/dev/nvhost-gpu").exists()
