"""A network between a client and a server that can be cut: bytes vanish, and nobody is told."""

from __future__ import annotations

import contextlib
import socket
import threading


class Cable:
    """Forwards connections to a port of this machine.

    Attributes:
        port: to connect to.
        cut: while set, whatever comes from either side is lost.
    """

    def __init__(self, port: int) -> None:
        self.cut = threading.Event()
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Takes no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            if self.cut.is_set():
                self._keep = near  # taken, as by a host that is gone behind a switch
                continue
            far = socket.create_connection(("127.0.0.1", self._to))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.cut.is_set():
                    sink.sendall(data)
        if not self.cut.is_set():
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
