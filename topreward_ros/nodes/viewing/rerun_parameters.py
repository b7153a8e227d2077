"""The parameters of `rerun_node`: each is declared once, with its type, range and meaning."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rclpy.node import Node

from topreward_ros.nodes.parameters import ParameterError, declare, parameter
from topreward_ros.nodes.viewing.watching_parameters import WatchingParameters

PORTS = (1, 65535)
ADDRESS = re.compile(r"rerun\+https?://(?P<host>[^/\s:]+|\[[^]/\s]+\]):(?P<port>\d{1,5})/proxy")
ADDRESS_EXPECTED = "an address such as rerun+http://192.168.0.5:9876/proxy"


@dataclass(frozen=True)
class RerunParameters(WatchingParameters):
    """Values of all parameters, read at the start; the descriptions are in the fields' metadata."""

    show: str = parameter(
        "web",
        "Where it is shown: web (viewer in a browser of this machine), spawn (Rerun's own window), "
        "connect (a viewer that runs somewhere), save (an .rrd for each episode).",
        choices=("web", "spawn", "connect", "save"),
    )
    web_port: int = parameter(
        9090, "web: port of the page, on the loopback interface.", limits=PORTS
    )
    port: int = parameter(
        9876, "web, spawn: port on which the viewer takes data, on the loopback.", limits=PORTS
    )
    address: str = parameter(
        "rerun+http://127.0.0.1:9876/proxy",
        "connect: where the viewer takes data.",
        check=lambda value: None if ADDRESS.fullmatch(value) else ADDRESS_EXPECTED,
    )
    folder: str = parameter("rerun_episodes", "save: where the files go; it is made.")
    memory: int = parameter(
        512, "MB, web: of what the page is told when it is opened late.", limits=(16, 65536)
    )
    rate: float = parameter(
        10.0, "Pictures per second of camera time at most, of each camera.", limits=(0.1, 60.0)
    )
    max_width: int = parameter(
        640, "px; wider pictures are made smaller before they are drawn.", limits=(32, 4096)
    )


def declare_parameters(node: Node) -> RerunParameters:
    """Declares all parameters on a node and returns their values.

    Raises:
        ParameterError: a value is of another type, out of range or not among the choices.
    """
    given = declare(node, RerunParameters)
    if given.show == "web" and given.port == given.web_port:
        raise ParameterError(f"port and web_port are both {given.port}; expected two ports.")
    return given
