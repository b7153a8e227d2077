"""Python packages of the workspace: which, how large, and their installation with pip."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from machine import SetupError

NO_NETWORK = (
    "NewConnectionError",
    "Failed to establish a new connection",
    "name resolution",
    "Network is unreachable",
    "ConnectTimeout",
    "Read timed out",
    "ProxyError",
    "Connection aborted",
    "IncompleteRead",
)

NO_SUCH_BUILD = ("No matching distribution", "Could not find")


def listed(path: Path) -> list[str]:
    """Returns the requirements of a file in pip's format."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def declared(setup_cfg: Path, extra: str | None = None) -> list[str]:
    """Returns the requirements that setup.cfg declares, its own ones or those of an extra."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(setup_cfg)
    section = "options.extras_require" if extra else "options"
    lines = config.get(section, extra or "install_requires").splitlines()
    return [line.strip() for line in lines if line.strip()]


class Pip:
    """The pip of a virtual environment, with its cache and temporary files inside of it."""

    def __init__(self, venv: Path) -> None:
        self._python = venv / "bin" / "python"
        self._cache = venv / "cache"
        self._temporary = venv / "tmp"
        self.log = venv / "pip.log"
        self.constraints: list[str] = []

    def run(self, *arguments: str) -> str:
        """Runs pip and returns what it printed; SetupError says in a sentence what went wrong."""
        self._temporary.mkdir(parents=True, exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PIP_USER")}
        environment |= {
            "PIP_CACHE_DIR": str(self._cache),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
            "TMPDIR": str(self._temporary),
        }
        command = [str(self._python), "-m", "pip", *arguments]
        with self.log.open("a") as log:
            log.write(f"\n$ pip {' '.join(arguments)}\n")
            log.flush()
            to_pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            done = subprocess.run(command, env=environment, **to_pipe)
            log.write(done.stdout)
        if done.returncode:
            raise SetupError(self._reason(done.stdout))
        return done.stdout

    def _reason(self, output: str) -> str:
        if "No space left on device" in output:
            return "The disk is full; make room and call again: what is done stays done."
        if any(mark in output for mark in NO_NETWORK):
            return (
                "The package index cannot be reached; check the network (or pip's index and proxy "
                f"settings) and call again: what is done stays done. pip's words are in {self.log}."
            )
        errors = [line for line in output.splitlines() if line.startswith("ERROR")]
        return f"pip failed: {errors[0] if errors else output[-300:].strip()} (see {self.log})"

    def install(self, *requirements: str) -> None:
        """Installs the requirements together, so that pip weighs them against each other."""
        self.run("install", *requirements, *self.constraints)

    def plan(self, *requirements: str) -> list[str]:
        """Returns the addresses of the files that installing the requirements would download."""
        report = self._temporary / "plan.json"
        self.run("install", "--dry-run", "--report", str(report), *requirements, *self.constraints)
        content = json.loads(report.read_text())
        return [item["download_info"]["url"] for item in content["install"]]

    def forget(self) -> None:
        """Removes the download cache, which only an interrupted installation needs."""
        subprocess.run(["rm", "-rf", str(self._cache), str(self._temporary)], check=True)


def download_size(addresses: list[str]) -> int | None:
    """Returns the bytes behind the addresses; None where a server does not tell."""

    def size(address: str) -> int:
        parts = urllib.parse.urlsplit(address)
        if parts.scheme == "file":
            return Path(urllib.parse.unquote(parts.path)).stat().st_size
        request = urllib.request.Request(address, method="HEAD")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.headers["Content-Length"])

    try:
        with ThreadPoolExecutor(8) as pool:
            return sum(pool.map(size, addresses))
    except (OSError, TypeError, ValueError):
        return None


def choose_torch(pip: Pip, models: list[str], gpu: bool) -> tuple[list[str], list[str]]:
    """Chooses the build of torch: without a GPU the CPU build, where the index offers one.

    Args:
        pip: The environment's pip; its index settings are the machine's.
        models: Requirements, the one of torch among them.
        gpu: Whether this machine has a GPU.

    Returns:
        The requirements with torch's build named, and the addresses of what they download.

    Raises:
        SetupError: no build can be installed; what pip says of the usual one.
    """
    torch = next(item for item in models if item.startswith("torch=="))
    number = torch.split("==")[1]
    others = [item for item in models if item != torch]
    # "+cpu" is the local version of CPU builds; "===" keeps pip from preferring one of those.
    build = f"torch==={number}" if gpu else f"torch=={number}+cpu"
    try:
        return [build, *others], pip.plan(build, *others)
    except SetupError as error:
        # Whatever it was, a constraint of pip's settings for one: if it is not this build, the next
        # plan fails too, and says so.
        chosen = models, pip.plan(*models)
        if not any(words in str(error) for words in NO_SUCH_BUILD):
            print(f"setup: {build} cannot be planned here, so the usual build is taken: {error}")
        return chosen


def beside_ros(requirements: list[str]) -> list[str]:
    """Keeps the numpy that is there: a ROS installation's messages were compiled against it."""
    try:
        kept = version("numpy").split(".")[0]
    except PackageNotFoundError:
        return requirements
    return [f"numpy=={kept}.*" if r.startswith("numpy") else r for r in requirements]


def main() -> None:
    """Prints what setup.cfg requires, to be installed by pip: `packages.py [extra ...]`."""
    setup_cfg = Path(__file__).resolve().parent.parent / "setup.cfg"
    for extra in (None, *sys.argv[1:]):
        print("\n".join(beside_ros(declared(setup_cfg, extra))))


if __name__ == "__main__":
    main()
