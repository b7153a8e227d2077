"""The parameters of `overlay_node`: each is declared once, with its type, range and meaning."""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.node import Node

from topreward_ros.nodes.parameters import ParameterError, declare, parameter
from topreward_ros.nodes.viewing.watching_parameters import WatchingParameters
from topreward_ros.video.mosaic import Layout, LayoutError

LONGEST_SIDE = 4096


@dataclass(frozen=True)
class OverlayParameters(WatchingParameters):
    """Values of all parameters, read at the start; the descriptions are in the fields' metadata."""

    layout: str = parameter(
        "row",
        "How several cameras become one picture.",
        choices=[layout.value for layout in Layout],
    )
    rate: float = parameter(
        5.0, "Pictures per second at most, by the wall clock.", limits=(0.1, 10.0)
    )
    max_width: int = parameter(
        960, "px; wider pictures are made smaller before they are sent.", limits=(160, LONGEST_SIDE)
    )
    frame_id: str = parameter("base_link", "Coordinate frame in which the markers stand.")
    position: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.8), "[x, y, z] in m, where the markers stand."
    )
    text_height: float = parameter(
        0.07, "m, height of the markers' letters; the bar goes with it.", limits=(0.001, 10.0)
    )


def declare_parameters(node: Node) -> OverlayParameters:
    """Declares all parameters on a node and returns their values.

    Raises:
        ParameterError: a value is of another type, out of range or not among the choices.
    """
    parameters = declare(node, OverlayParameters)
    try:
        Layout.named(parameters.layout).check(max(1, len(parameters.own_cameras)))
    except LayoutError as error:
        raise ParameterError(f"layout and cameras contradict each other: {error}") from None
    return parameters
