"""The set-up script does what has changed, stays inside the repository, and fails in a sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import workspace
from repository import ROOT

import machine
import packages
from machine import SetupError

MODELS = ["torch==2.13.0", "transformers==5.23.0"]


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """The pip of this Python, with nothing of this machine's settings."""
    python = tmp_path / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return packages.Pip(tmp_path / "venv")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Makes the package index one folder; returns a function that puts an empty wheel there."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_IGNORE_INSTALLED", "1")

    def offer(name, version):
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            )
            wheel.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{info}/RECORD", "")

    offer("transformers", "5.23.0")
    return offer


def test_without_a_gpu_the_cpu_build_of_torch_is_taken_where_there_is_one(pip, index):
    for version in ("2.13.0", "2.13.0+cpu", "2.13.0+cu130"):
        index("torch", version)
    chosen, addresses = packages.choose_torch(pip, MODELS, gpu=False)
    assert chosen == ["torch==2.13.0+cpu", "transformers==5.23.0"]
    assert any("2.13.0%2Bcpu" in address for address in addresses)


def test_without_a_gpu_the_usual_build_is_taken_where_there_is_no_other(pip, index):
    index("torch", "2.13.0")
    chosen, addresses = packages.choose_torch(pip, MODELS, gpu=False)
    assert chosen == MODELS
    assert len(addresses) == 2


def test_with_a_gpu_the_usual_build_is_taken_though_a_cpu_build_is_offered(pip, index):
    index("torch", "2.13.0")
    index("torch", "2.13.0+cpu")
    _, addresses = packages.choose_torch(pip, MODELS, gpu=True)
    assert any(address.endswith("torch-2.13.0-py3-none-any.whl") for address in addresses)


@pytest.mark.parametrize("way", ["environment", "configuration"])
def test_where_a_constraint_keeps_the_cpu_build_away_the_usual_one_follows_and_it_is_said(
    pip, index, tmp_path, monkeypatch, capsys, way
):
    """There pip says "conflicting dependencies", and not that there was no such build."""
    index("torch", "2.13.0")
    index("torch", "2.13.0+cpu")
    (tmp_path / "constraints.txt").write_text("torch===2.13.0\n")
    if way == "environment":
        monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "constraints.txt"))
    else:
        (tmp_path / "pip.conf").write_text(f"[global]\nconstraint = {tmp_path}/constraints.txt\n")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    chosen, addresses = packages.choose_torch(pip, MODELS, gpu=False)
    assert chosen == MODELS
    assert any(address.endswith("torch-2.13.0-py3-none-any.whl") for address in addresses)
    said = capsys.readouterr().out
    assert "torch==2.13.0+cpu cannot be planned" in said and "the usual build" in said


def test_a_version_that_nobody_offers_is_named(pip, index):
    with pytest.raises(SetupError, match=r"torch==2\.13\.0"):
        packages.choose_torch(pip, MODELS, gpu=False)


def test_the_size_of_a_download_is_the_sum_of_its_files(tmp_path):
    (tmp_path / "a+b.whl").write_bytes(b"12345")
    (tmp_path / "c.whl").write_bytes(b"678")
    addresses = [path.as_uri() for path in tmp_path.iterdir()]
    assert packages.download_size(addresses) == 8
    assert packages.download_size([*addresses, "http://127.0.0.1:9/d.whl"]) is None


def test_an_unreachable_index_is_one_sentence(pip):
    with pytest.raises(SetupError, match="The package index cannot be reached") as caught:
        pip.run("download", "--retries=1", "--index-url=http://127.0.0.1:9/simple", "anything")
    assert "\n" not in str(caught.value)


def test_pip_keeps_its_cache_inside_of_the_repository(pip, tmp_path):
    assert pip.run("cache", "dir").strip() == str(tmp_path / "venv/cache")


def test_too_little_disk_space_is_one_sentence_with_both_numbers(tmp_path):
    with pytest.raises(SetupError, match=r"needs 1000000000\.0 GB and has \d+\.\d GB free"):
        machine.check_disk(tmp_path, 1e18, "torch")


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 14, 0), (2, 7, 18)])
def test_a_python_that_does_not_fit_is_named_with_those_that_do(monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(SetupError, match=rf"Python {version[0]}\.{version[1]} .* 3\.10 to 3\.13"):
        machine.check_python()


def copied(tmp_path):
    """The repository's scripts in a folder of their own."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    return tmp_path / "scripts"


def with_tools(tmp_path, *names):
    """An environment whose PATH holds nothing but these programs."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in names:
        (tools / name).symlink_to(shutil.which(name))
    return {"PATH": str(tools), "PYTHON": sys.executable}


def test_without_a_compiler_the_script_says_what_to_install_and_makes_nothing(tmp_path):
    script = copied(tmp_path) / "setup"
    environment = with_tools(tmp_path, "sh", "dirname", "ls")
    done = subprocess.run([script], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "sudo apt install build-essential" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_without_any_fitting_python_the_script_says_what_to_install(tmp_path):
    script = copied(tmp_path) / "setup"
    environment = with_tools(tmp_path, "sh", "dirname") | {"PYTHON": "/nowhere/python"}
    done = subprocess.run([script], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no Python 3.10 to 3.13 was found" in done.stderr


def test_a_directory_without_ros_is_refused(tmp_path):
    with pytest.raises(SetupError, match=r"is no ROS installation: it holds no setup\.bash"):
        machine.find_ros(str(tmp_path))


def test_env_sh_says_what_to_do_before_the_workspace_is_made(tmp_path):
    script = copied(tmp_path) / "env.sh"
    done = subprocess.run(["bash", "-c", f". {script}"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "run scripts/setup" in done.stderr


@pytest.fixture
def stages(tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "VENV", tmp_path)
    return workspace.Stages()


def test_a_stage_runs_again_only_when_its_inputs_or_those_before_it_changed(stages):
    ran = []
    for after, inputs in (("", ["a"]), ("", ["a"]), ("", ["b"]), ("x", ["b"]), ("x", ["b"])):
        stages.run("stage", after, inputs, lambda: ran.append(1))
    assert len(ran) == 3


def test_an_interrupted_stage_runs_again(stages):
    def fail():
        raise KeyboardInterrupt

    ran = []
    stages.run("stage", "", ["a"], lambda: ran.append(1))
    with pytest.raises(KeyboardInterrupt):
        stages.run("stage", "", ["b"], fail)
    stages.run("stage", "", ["a"], lambda: ran.append(1))
    assert len(ran) == 2


def test_exports_that_name_the_build_machine_are_pointed_at_this_python(tmp_path, monkeypatch):
    path = tmp_path / "share/some_msgs/cmake/pyExport.cmake"
    path.parent.mkdir(parents=True)
    built = "/opt/python/cp311-cp311"
    path.write_text(f'INCLUDES "{built}/include/python3.11;{built}/lib/numpy/_core/include;/x"')
    monkeypatch.setattr(workspace, "VENV", tmp_path)
    monkeypatch.setattr(workspace, "PYTHON", Path(sys.executable))
    workspace.repair_exports()
    headers = path.read_text().split('"')[1].split(";")
    assert (Path(headers[0]) / "Python.h").exists()
    assert (Path(headers[1]) / "numpy/arrayobject.h").exists()
    assert headers[2] == "/x"


def test_env_sh_leaves_no_library_of_another_workspace_in_the_path(tmp_path):
    script = copied(tmp_path) / "env.sh"
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()
    (tmp_path / ".venv/ros").write_text("wheels")
    (tmp_path / "other/share/ament_index").mkdir(parents=True)
    (tmp_path / "other/lib").mkdir()
    (tmp_path / "cuda lib").mkdir()
    path = f"{tmp_path}/other/lib::{tmp_path}/cuda lib"
    done = subprocess.run(
        ["bash", "-c", f'. {script} underlay; printf %s "$LD_LIBRARY_PATH$PYTHONPATH"'],
        env={**os.environ, "LD_LIBRARY_PATH": path, "PYTHONPATH": "/other"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{tmp_path}/cuda lib"


def test_what_must_be_installed_beside_ros_is_printed_for_pip() -> None:
    """README's line for a ROS installation: own requirements, and those of the extra."""
    script = Path(packages.__file__)
    printed = subprocess.run(
        [sys.executable, script, "models"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    setup_cfg = script.parent.parent / "setup.cfg"
    wanted = packages.declared(setup_cfg) + packages.declared(setup_cfg, "models")
    kept = f"numpy=={np.__version__.split('.')[0]}.*"
    assert printed == [kept if line.startswith("numpy") else line for line in wanted]
    assert any(line.startswith("torch==") for line in printed) and kept in printed


def test_what_torch_brings_leaves_a_setuptools_that_colcon_can_use() -> None:
    models = packages.declared(Path(packages.__file__).parent.parent / "setup.cfg", "models")
    (limits,) = [line for line in models if line.startswith("setuptools")]
    assert limits.endswith(",<80")


def test_an_extra_that_is_asked_for_is_one_that_setup_cfg_declares() -> None:
    for extra in workspace.EXTRAS:
        assert packages.declared(ROOT / "setup.cfg", extra)
