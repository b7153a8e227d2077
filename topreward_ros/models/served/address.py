"""The address of a served model, as the parameter `model` names it.

`<engine>:<model>` is a service at its official address, `<engine>+<URL>` a server of one's own,
with `#<model>` where it has several.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from topreward_ros.models.contract import ModelError

ENGINES = ("vllm", "ray", "openai", "gemini")
OFFICIAL = ("openai", "gemini")
"""Those that have an official address, with which their own clients come."""
_SERVER = re.compile(rf"({'|'.join(ENGINES)})\+(.*)", re.DOTALL)
_SERVICE = re.compile(rf"({'|'.join(OFFICIAL)}):(.*)", re.DOTALL)
_URL = re.compile(r"[a-z]+://", re.ASCII)


@dataclass(frozen=True)
class Address:
    """Where a model is served.

    Attributes:
        engine: one of `ENGINES`.
        url: of the server, without a slash at its end; "": the service's official one.
        model: its name there; "": the one that the server has.
        name: as it was asked for.
    """

    engine: str
    url: str
    model: str
    name: str

    @property
    def shown(self) -> str:
        """What people are told of where it is; it holds no key."""
        return self.url or f"of {self.engine}"


def parse_address(model: str) -> Address | None:
    """Reads the parameter `model`; None for a model of this machine.

    Raises:
        ModelError: it is an address, and none that can be used.
    """
    if match := _SERVICE.fullmatch(model):
        if not match[2].strip():
            raise ModelError(f"The model {model!r} names no model; give {match[1]}:<model>.")
        return Address(match[1], "", match[2].strip(), model)
    if match := _SERVER.fullmatch(model):
        return _server(model, match[1], match[2])
    if _URL.match(model):
        raise ModelError(
            f"The model {_without_key(model)!r} is an address without an engine; put one of "
            f"{', '.join(f'{engine}+' for engine in ENGINES)} before it, by what serves there."
        )
    return None


def is_chat_api(model: str) -> bool:
    """Says whether the parameter `model` names one that is asked by whole turns of a chat."""
    return model.startswith(tuple(f"{engine}{mark}" for engine in OFFICIAL for mark in ":+"))


def in_the_clear(url: str) -> bool:
    """Whether what is sent there goes to another machine unencrypted."""
    if not url.startswith("http:"):
        return False
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _server(name: str, engine: str, text: str) -> Address:
    try:
        url = urlsplit(text)
        port_fits = url.port is None or url.port > 0
    except ValueError:
        url, port_fits = urlsplit(""), False
    if url.scheme not in ("http", "https") or not url.hostname or not port_fits:
        raise ModelError(
            f"The model {_without_key(name)!r} is no address; expected "
            f"{engine}+http://<host>:<port>, or https, with #<model> where the server has several."
        )
    if url.username is not None or url.password is not None or url.query:
        raise ModelError(
            f"The address {_without_key(name)!r} holds a user, a password or a query; keys come "
            "from the environment alone, where they are not logged (see docs/fleet.md)."
        )
    place = f"{url.scheme}://{url.netloc}{url.path}".rstrip("/")
    return Address(engine, place, url.fragment, name)


def _without_key(text: str) -> str:
    return re.sub(r"\?[^#]*", "?…", re.sub(r"//[^/@]*@", "//…@", text))
