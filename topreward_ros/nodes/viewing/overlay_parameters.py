"""The parameters of `overlay_node`: each is declared once, with its type, range and meaning."""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.node import Node

from topreward_ros.nodes.parameters import ParameterError, declare, parameter
from topreward_ros.video.mosaic import Layout, LayoutError

LONGEST_SIDE = 4096


@dataclass(frozen=True)
class OverlayParameters:
    """Values of all parameters, read at the start; the descriptions are in the fields' metadata."""

    reward_node: str = parameter(
        "reward_node", "Name of the reward node; relative: in this namespace."
    )
    episode_manager: str = parameter(
        "episode_manager", "Name of the manager, if there is one; relative: in this namespace."
    )
    cameras: tuple[str, ...] = parameter(
        ("",), 'Image topics; [""]: those of the reward node, with its transport and layout.'
    )
    transport: str = parameter(
        "auto",
        "Type of the image topics: raw (Image), compressed (CompressedImage), auto (as published).",
        choices=("auto", "raw", "compressed"),
    )
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

    @property
    def own_cameras(self) -> tuple[str, ...]:
        """The image topics given to this node itself; empty: those of the reward node."""
        return tuple(topic for topic in self.cameras if topic)


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
