"""`controller_manager_msgs` for machines where it is not installed.

Its two services travel as services that are: what they carry is a text, and DDS, clients, timeouts
and retries are the real ones. The classes have the fields of ros2_control's definitions that the
package and its tests use.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest
from std_srvs.srv import Trigger

from topreward_msgs.srv import StartEpisode


def _field(name: str, default: object) -> property:
    def read(request: StartEpisode.Request) -> object:
        return json.loads(request.instruction or "{}").get(name, default)

    def write(request: StartEpisode.Request, value: object) -> None:
        request.instruction = json.dumps({**json.loads(request.instruction or "{}"), name: value})

    return property(read, write)


class _Request(StartEpisode.Request):
    """A SwitchController.Request inside of the one text of another request."""

    BEST_EFFORT, STRICT = 1, 2

    def __init__(self, *, strictness: int = 0) -> None:
        super().__init__()
        self.strictness = strictness


# What is converted for DDS is known by the name of its class.
_Request.__name__ = StartEpisode.Request.__name__
_Request.__module__ = StartEpisode.Request.__module__


class SwitchController(StartEpisode):
    """The service `switch_controller`."""

    Request = _Request


class ListControllers(Trigger):
    """The service `list_controllers`."""


FIELDS = {
    StartEpisode.Request: {
        "strictness": _field("strictness", 0),
        "activate_controllers": _field("activate_controllers", []),
        "deactivate_controllers": _field("deactivate_controllers", []),
    },
    StartEpisode.Response: {
        "ok": property(lambda self: self.success, lambda self, ok: setattr(self, "success", ok))
    },
    Trigger.Response: {
        "controller": property(
            lambda self: [SimpleNamespace(**one) for one in json.loads(self.message)],
            lambda self, states: setattr(self, "message", json.dumps([vars(s) for s in states])),
        )
    },
}


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the package importable, where it is not."""
    if find_spec("controller_manager_msgs"):
        return
    package, messages, services = (
        ModuleType(f"controller_manager_msgs{part}") for part in ("", ".msg", ".srv")
    )
    messages.ControllerState = SimpleNamespace
    services.SwitchController, services.ListControllers = SwitchController, ListControllers
    package.msg, package.srv = messages, services
    for module in (package, messages, services):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for kind, fields in FIELDS.items():
        for name, field in fields.items():
            monkeypatch.setattr(kind, name, field, raising=False)
