"""Starts the nodes of reward.launch.py where ROS comes without launch, and stops them in order.

A GPU workstation without a ROS installation joins a robot's graph this way:

    make run RIG=so101 INSTRUCTION="put the green cube on the blue disc"
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from topreward_ros.nodes.processes import Exit, ProcessGroup, interrupted_by_signals
from topreward_ros.nodes.running.node_commands import node_command, package_directory
from topreward_ros.nodes.running.parameter_reach import UnreachedError, file_reach
from topreward_ros.printable import PrintableParser, printable
from topreward_ros.small_files import FileRefused, load_yaml, read_small

DISCOVERY_RANGES = ("LOCALHOST", "SUBNET", "OFF", "SYSTEM_DEFAULT")
RESPAWN_DELAY = 2.0
"""S, as in reward.launch.py."""
PASSED_ON = ("model", "instruction", "device", "quantization")
ROSETTA = {
    "reward_node": [("~/reward", "/reward")],
    "episode_manager": [
        ("~/episode_done", "/episode_done"),
        ("~/episode_truncated", "/episode_truncated"),
    ],
    "overlay_node": [],
    "rerun_node": [],
}
"""By node, the names that rosetta reads: std_msgs/Float64 and std_msgs/Bool."""
ONLY_WATCHES = "rerun_node"
"""Whoever closes its window means it: it ends nothing, and is not started again."""


class StackError(ValueError):
    """Arguments with which nothing can be started; one sentence."""


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """Returns by name how each node of the stack is started, in this order.

    Args:
        options: as `parse` returns them.

    Raises:
        StackError: a file does not exist.
    """
    files = parameter_files(options.rig, options.params_file)
    given: dict[str, Any] = {
        name: getattr(options, name) for name in PASSED_ON if getattr(options, name) is not None
    }
    if options.cameras:
        given["cameras"] = options.cameras
    if options.use_sim_time:
        given["use_sim_time"] = True
    common = {"files": files, "namespace": options.namespace}
    clock = {"use_sim_time": True} if options.use_sim_time else {}
    nodes = {"reward_node": {**given, "autostart": options.autostart and not options.manager}}
    if options.manager:
        nodes["episode_manager"] = clock
    if options.overlay:
        nodes["overlay_node"] = clock
    if options.rerun:
        nodes["rerun_node"] = clock
    return {
        name: node_command(name, parameters, extra=_extra(name, options), **common)
        for name, parameters in nodes.items()
    }


def _extra(name: str, options: argparse.Namespace) -> list[str]:
    renamed = ROSETTA[name] if options.rosetta else []
    extra = ["--log-level", options.log_level]
    for old, new in renamed:
        extra += ["-r", f"{old}:={new}"]
    return extra


def parameter_files(rig: str, own: str) -> list[Path]:
    """Returns the parameter files, the later ones ruling: the defaults, the rig's, the user's.

    Args:
        rig: a name in config/rigs or a file; empty: none.
        own: a file; empty: none.

    Raises:
        StackError: one does not exist.
    """
    config = package_directory("config")
    files = [config / "reward.yaml"]
    if rig:
        known = {path.stem: path for path in sorted(config.glob("rigs/*.yaml"))}
        files.append(known.get(rig, Path(rig).expanduser()))
        if not files[-1].is_file():
            names = ", ".join(known) or "none comes with the package"
            raise StackError(f"rig is {rig!r}; expected a parameter file or a known rig ({names}).")
    if own:
        files.append(Path(own).expanduser())
        if not files[-1].is_file():
            raise StackError(f"params-file is {own!r}; expected a parameter file.")
    for file in files:
        try:
            load_yaml(read_small(file))
        except FileRefused as error:
            raise StackError(f"The parameter file {file} is not read: {error}.") from None
    return files


def reach_lines(files: Sequence[Path], namespace: str) -> list[str]:
    """Returns a sentence on each section of the parameter files: which node it reaches.

    Args:
        files: as `parameter_files` returns them.
        namespace: of the nodes.

    Raises:
        StackError: a file reaches no node.
    """
    try:
        reached = [file_reach(file, namespace, tuple(ROSETTA)) for file in files]
    except UnreachedError as error:
        raise StackError(str(error)) from None
    return [line for one in reached for line in one.lines()]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line; None: this process's."""
    parser = PrintableParser(prog="stack", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--rig", default="", help="a name in config/rigs, or a parameter file")
    add("--params-file", default="", help="parameter file on top of the rig's")
    add("--model", help="hub id, checkpoint directory or demo")
    add(
        "--instruction", help="the task in words; without one the topic task_instruction is awaited"
    )
    add("--cameras", nargs="+", metavar="TOPIC", help="image topics; default: as in the files")
    add("--device", help="auto, cpu, cuda or cuda:<number>")
    add("--quantization", help="none, int8 or nf4")
    add("--namespace", default="topreward", help="of the nodes (%(default)s)")
    add("--use-sim-time", action="store_true", help="use /clock")
    add("--manager", action="store_true", help="run episodes when asked, and the stop actions")
    add("--overlay", action="store_true", help="publish the camera with progress, and markers")
    add("--rerun", action="store_true", help="show episodes in Rerun; see rerun_node's parameters")
    add("--rosetta", action="store_true",
        help="publish on /reward, /episode_done and /episode_truncated for rosetta")  # fmt: skip
    add("--respawn", action="store_true", help="start a node that died again")
    add("--log-level", default="info", help="debug, info, warn, error or fatal (%(default)s)")
    add("--discovery-range", choices=DISCOVERY_RANGES,
        help="reach of the graph (ROS_AUTOMATIC_DISCOVERY_RANGE; default: as set)")  # fmt: skip
    add("--domain-id", type=int, help="the graph to join (ROS_DOMAIN_ID; default: as set)")
    add("--no-autostart", dest="autostart", action="store_false",
        help="do not configure and activate; wait for lifecycle services")  # fmt: skip
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Runs the stack until a signal comes, or a node ends that is not to be started again.

    Args:
        options: as `parse` returns them.

    Returns:
        0 after a signal, 1 where a node ended by itself or had to be killed.
    """
    environment = {}
    if options.discovery_range:
        environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = options.discovery_range
    if options.domain_id is not None:
        environment["ROS_DOMAIN_ID"] = str(options.domain_id)
    group = ProcessGroup()
    nodes = commands(options)
    files = parameter_files(options.rig, options.params_file)
    for line in reach_lines(files, options.namespace):
        print(printable(f"stack: {line}"), flush=True)

    def start(name: str) -> None:
        group.start(name, nodes[name], environment=environment)

    with interrupted_by_signals(group), group:
        for name in nodes:
            start(name)
        print(printable(f"stack: {', '.join(group.running())} started; Ctrl-C stops."), flush=True)
        print(printable(f"stack: {reach({**os.environ, **environment})}"), flush=True)
        ended = _watch(group, start if options.respawn else None)
        stopped = group.stop()
    return _conclude(ended, stopped)


def reach(environment: Mapping[str, str]) -> str:
    """Returns one sentence on who can hear the nodes and speak to them.

    Args:
        environment: variables that the nodes are started with.
    """
    distance = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE") or "SUBNET"
    domain = environment.get("ROS_DOMAIN_ID") or "0"
    if environment.get("ROS_SECURITY_ENABLE") == "true":
        return f"Graph {domain}, {distance}: only who holds a key of this graph takes part."
    return (
        f"Graph {domain}, {distance}, not secured: the nodes listen on every address, and whoever "
        "reaches this machine can take part; docs/security.md says how to change that."
    )


def _watch(group: ProcessGroup, restart: Callable[[str], None] | None) -> Exit | None:
    """Waits for a signal; returns how a node ended if that came first and none is to restart it."""
    due: dict[str, float] = {}
    while not group.interrupted:
        pause = max(0.0, min(due.values()) - time.monotonic()) if due else None
        ended = group.wait(pause)
        if ended and ended.name == ONLY_WATCHES:
            print(printable(f"stack: {ended}; the others go on."), flush=True)
            continue
        if ended and restart is None:
            return ended
        if ended:
            again = f"stack: {ended}; it is started again in {RESPAWN_DELAY:g} s."
            print(printable(again), flush=True)
            due[ended.name] = time.monotonic() + RESPAWN_DELAY
        for name in [name for name, at in due.items() if at <= time.monotonic()]:
            del due[name]
            restart(name)
    return None


def _conclude(ended: Exit | None, stopped: Sequence[Exit]) -> int:
    for end in [*([ended] if ended else []), *stopped]:
        print(printable(f"stack: {end}."), flush=True)
    if ended:
        print(printable(f"stack: stopped, because {ended}."), file=sys.stderr)
        return 1
    return int(any(end.code for end in stopped))


def main(arguments: Sequence[str] | None = None) -> int:
    """Starts the stack; returns the exit code.

    Args:
        arguments: of the command line; None: this process's.
    """
    options = parse(arguments)
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    try:
        return run(options)
    except (StackError, FileNotFoundError) as error:
        print(printable(f"stack: {error}"), file=sys.stderr)
        return 1
