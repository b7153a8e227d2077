"""The key of a service: from the environment alone, and in no text that anybody reads."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from topreward_ros.models.contract import ModelError
from topreward_ros.models.served.address import Address, in_the_clear
from topreward_ros.printable import printable

VARIABLES = {"openai": ("OPENAI_API_KEY",), "gemini": ("GOOGLE_API_KEY", "GEMINI_API_KEY")}
"""By engine, where its key is looked for, in this order, which is that of its own client."""
LONGEST_TEXT = 300
"""Characters of a service's text that are passed on."""


@dataclass(frozen=True)
class Key:
    """What a service is opened with.

    Attributes:
        variable: of the environment that holds it, or should.
        secret: the key itself; "": there is none.
    """

    variable: str
    secret: str = field(default="", repr=False)

    def hidden_in(self, text: object) -> str:
        """Returns a service's text in one printable line of bounded length, without the key."""
        line = str(text).replace(self.secret, "…") if self.secret else str(text)
        return printable(" ".join(line.split()), LONGEST_TEXT).rstrip(".")


def find_key(address: Address) -> Key:
    """Looks for the key of a service; a server of one's own may need none.

    Raises:
        ModelError: there is none, or one that cannot be sent.
    """
    names = VARIABLES[address.engine]
    variable = next((name for name in names if os.environ.get(name, "").strip()), names[-1])
    secret = os.environ.get(variable, "").strip()
    if not secret and not address.url:
        raise ModelError(
            f"The model {address.name} needs a key, and {' and '.join(names)} "
            f"{'is' if len(names) == 1 else 'are'} not set; set {names[-1]} in the environment of "
            "whatever loads the model. Nothing has been sent."
        )
    if not (secret.isascii() and secret.isprintable() and " " not in secret):
        raise ModelError(
            f"The key in {variable} holds characters that no key has, such as a space or a line "
            "break; copy it anew. Nothing has been sent."
        )
    if secret and in_the_clear(address.url):
        raise ModelError(
            f"The key in {variable} would travel unencrypted to {address.url}; use https, or a "
            f"tunnel to this machine, or unset {variable} for a server that needs none. Nothing "
            "has been sent."
        )
    return Key(variable, secret)
