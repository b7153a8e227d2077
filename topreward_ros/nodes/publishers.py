"""Who publishes on a topic, as far as the graph knows."""

from __future__ import annotations

from rclpy.topic_endpoint_info import TopicEndpointInfo

NOBODY = "a program without a ROS node"
"""Who publishes without a name for long."""


def is_named(publisher: TopicEndpointInfo) -> bool:
    """Whether the node of a publisher is known.

    Discovery tells of endpoints first, and of one whose process was killed the name may go before
    it: then rmw gives a name of its own, which begins with an underscore.
    """
    return not publisher.node_name.startswith("_")


def full_name(publisher: TopicEndpointInfo) -> str:
    """Returns the full name of a publisher's node; `NOBODY` where it is not known."""
    if not is_named(publisher):
        return NOBODY
    return f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
