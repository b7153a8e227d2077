"""Where `serve` may listen, checked before anything is started."""

from __future__ import annotations

import argparse
import errno
import ipaddress
import os
import socket
import ssl

from topreward_ros.models.served.connection import KEY

SHORTEST_KEY = 16
"""Characters; a key may be tried by whoever reaches the port."""


class ListeningError(ValueError):
    """What stands against it; one sentence."""


def check_listening(options: argparse.Namespace) -> None:
    """Checks key, certificate and port.

    Raises:
        ListeningError: one of them does not do.
    """
    _check_key(options.host)
    if options.tls_certificate is not None:
        _check_certificate(options)
    _check_port(options.host, options.port)


def _check_key(host: str) -> None:
    key = os.environ.get(KEY, "").strip()
    if key and (len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable()):
        raise ListeningError(
            f"{KEY} has to have {SHORTEST_KEY} or more letters and digits; make one with "
            "`openssl rand -hex 24`."
        )
    if not key and not is_loopback(host):
        raise ListeningError(
            f"--host {host} is open to other machines, and there is no key; set {KEY}, here and at "
            "the robots, or leave --host at 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_certificate(options: argparse.Namespace) -> None:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # A password would be asked for on the terminal of each process.
        context.load_cert_chain(options.tls_certificate, options.tls_key, password=lambda: "")
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ListeningError(
            f"The certificate {options.tls_certificate} with the key {options.tls_key} cannot be "
            f"used ({error}); expected two PEM files that belong together."
        ) from None


def _check_port(host: str, port: int) -> None:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
            tried.listen(1)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        advice = "another program has it; give another --port" if taken else f"{error}"
        raise ListeningError(f"serve cannot listen on {host}, port {port}: {advice}.") from None
