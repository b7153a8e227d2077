"""The topic `task_statements`: who plans a task also says what its stages and failures are."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.parameter import Parameter

from topreward_msgs.msg import TaskStatements
from topreward_ros.method.statements import written
from topreward_ros.nodes.messages import latched

TOPIC = "task_statements"


class StatementsTopic:
    """Puts what comes into the parameter `statements`, which rules what is taken and when."""

    def __init__(self, node: Node) -> None:
        """Subscribes.

        Args:
            node: has the parameter.
        """
        self._node = node
        node.create_subscription(TaskStatements, TOPIC, self._take, latched())

    def _take(self, message: TaskStatements) -> None:
        refused = next((one for one in message.statements if "|" in one.name + one.text), None)
        if refused is not None:
            self._refuse(f"{refused.name!r} has a vertical bar in its name or text.")
            return
        entries = [
            written(one.name, one.role, one.text, one.threshold or None)
            for one in message.statements
        ]
        parameter = Parameter("statements", Parameter.Type.STRING_ARRAY, entries or [""])
        result = self._node.set_parameters_atomically([parameter])
        if not result.successful:
            self._refuse(result.reason)

    def _refuse(self, reason: str) -> None:
        self._node.get_logger().error(f"Statements on {TOPIC} are refused: {reason}")
