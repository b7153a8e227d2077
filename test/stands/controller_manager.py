"""A controller manager that switches strictly, as ros2_control's does."""

from __future__ import annotations

from rclpy.node import Node


class ControllerManager:
    """Switches nothing at all where one thing cannot be.

    Attributes:
        states: by controller, `active` or `inactive`.
        asked: what was to be deactivated and activated, in order.
        refusals: how many switches are made and answered with no.
    """

    def __init__(self, node: Node, name: str, **states: str) -> None:
        """Offers both services; their messages must be importable, see `stub_controllers`."""
        from controller_manager_msgs.srv import ListControllers, SwitchController

        self.states = states
        self.asked: list[tuple[list[str], list[str]]] = []
        self.refusals = 0
        self._strict = SwitchController.Request.STRICT
        node.create_service(SwitchController, f"{name}/switch_controller", self._switch)
        node.create_service(ListControllers, f"{name}/list_controllers", self._list)

    def _switch(self, request, response):
        stop, start = list(request.deactivate_controllers), list(request.activate_controllers)
        self.asked.append((stop, start))
        assert request.strictness == self._strict
        response.ok = all(self.states.get(c) == "active" for c in stop) and all(
            self.states.get(c) == "inactive" for c in start
        )
        if response.ok:
            self.states.update(dict.fromkeys(stop, "inactive"))
            self.states.update(dict.fromkeys(start, "active"))
        if self.refusals:  # it has switched, and its answer says otherwise
            self.refusals -= 1
            response.ok = False
        return response

    def _list(self, _, response):
        from controller_manager_msgs.msg import ControllerState

        response.controller = [
            ControllerState(name=name, state=state) for name, state in self.states.items()
        ]
        return response
