"""Keeps a replica's own port, by which Ray Serve's other parts may call it, to this machine."""

from __future__ import annotations

from typing import Any


def keep_to_loopback() -> None:
    """Lets a replica listen on loopback, which Ray Serve does on all addresses, and has no option.

    Whoever reaches that port can have the replica run what he likes. To be called in its process,
    before it listens.

    Raises:
        AttributeError: this version of Ray Serve does it otherwise.
    """
    from ray.serve._private import replica

    bind = replica.add_port_to_grpc_server

    def bind_here(server: Any, address: str) -> int:
        return bind(server, address.replace("[::]", "127.0.0.1"))

    replica.add_port_to_grpc_server = bind_here
