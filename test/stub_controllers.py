"""A controller manager where controller_manager_msgs is not installed.

Its two services travel as services that are: what they carry is a text, and DDS, clients, timeouts
and retries are the real ones. The classes have the fields of ros2_control's definitions.
"""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
from std_srvs.srv import Trigger

from topreward_msgs.srv import StartEpisode


def _field(name: str) -> property:
    def read(request: _Request) -> list[str]:
        return json.loads(request.instruction)[name]

    def write(request: _Request, names: list[str]) -> None:
        request.instruction = json.dumps({**json.loads(request.instruction), name: names})

    return property(read, write)


class _Request(StartEpisode.Request):
    """A SwitchController.Request inside of the one text of another request."""

    BEST_EFFORT, STRICT = 1, 2

    def __init__(self, *, strictness: int = 0) -> None:
        super().__init__(instruction=json.dumps({"strictness": strictness}))

    activate_controllers = _field("activate")
    deactivate_controllers = _field("deactivate")


# What is converted for DDS is known by the name of its class.
_Request.__name__ = StartEpisode.Request.__name__
_Request.__module__ = StartEpisode.Request.__module__


class SwitchController(StartEpisode):
    """The service `switch_controller`."""

    Request = _Request


class ListControllers(Trigger):
    """The service `list_controllers`."""


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `controller_manager_msgs.srv` importable."""
    services = ModuleType("controller_manager_msgs.srv")
    services.SwitchController, services.ListControllers = SwitchController, ListControllers
    package = ModuleType("controller_manager_msgs")
    package.srv = services
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, services.__name__, services)
    ok = property(lambda self: self.success)
    monkeypatch.setattr(StartEpisode.Response, "ok", ok, raising=False)
    listed = property(lambda self: [SimpleNamespace(**one) for one in json.loads(self.message)])
    monkeypatch.setattr(Trigger.Response, "controller", listed, raising=False)


class ControllerManager:
    """Switches strictly, as ros2_control does: nothing at all where one thing cannot be.

    Attributes:
        states: by controller, `active` or `inactive`.
        asked: all requests, in order.
        refusals: how many switches are made and answered with no.
    """

    def __init__(self, node, name: str, **states: str) -> None:
        """Offers both services."""
        self.states = states
        self.asked: list[dict] = []
        self.refusals = 0
        node.create_service(StartEpisode, f"{name}/switch_controller", self._switch)
        node.create_service(Trigger, f"{name}/list_controllers", self._list)

    def _switch(self, request, response):
        asked = json.loads(request.instruction)
        self.asked.append(asked)
        assert asked["strictness"] == SwitchController.Request.STRICT
        response.success = all(self.states.get(c) == "active" for c in asked["deactivate"]) and all(
            self.states.get(c) == "inactive" for c in asked["activate"]
        )
        if response.success:
            self.states.update(dict.fromkeys(asked["deactivate"], "inactive"))
            self.states.update(dict.fromkeys(asked["activate"], "active"))
        if self.refusals:  # it has switched, and its answer says otherwise
            self.refusals -= 1
            response.success = False
        return response

    def _list(self, _, response):
        states = [{"name": name, "state": state} for name, state in self.states.items()]
        response.success, response.message = True, json.dumps(states)
        return response
