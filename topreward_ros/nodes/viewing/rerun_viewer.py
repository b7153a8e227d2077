"""Where drawn episodes go: a viewer that is started here, one that runs somewhere, or files."""

from __future__ import annotations

import re
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

from topreward_ros.nodes.processes import Patience, ProcessGroup
from topreward_ros.nodes.viewing.rerun_parameters import ADDRESS, RerunParameters
from topreward_ros.offline.rerun_drawing import RerunDrawing, load_rerun
from topreward_ros.whole_file import written_whole

LOOPBACK = "127.0.0.1"
START_LIMIT = 60.0
"""s that a viewer may take to listen."""
ANSWER_LIMIT = 2.0
"""s that a viewer elsewhere may take to answer."""
PATIENCE = Patience(interrupt=1.0, terminate=1.0)
"""With a viewer at the end: it keeps nothing, and a stopped one hears no signal but SIGKILL."""
VIEWER = "Rerun's viewer"


class Viewer:
    """One place to which episodes go, one recording each.

    Attributes:
        told: a sentence for people on where to look.
    """

    def __init__(self, given: RerunParameters) -> None:
        """Starts the viewer, if there is one to start; call it in the main thread.

        Raises:
            RerunMissing: Rerun is not installed.
            OSError: a port is in use, or the folder cannot be made.
        """
        load_rerun()
        self._given = given
        self._group = ProcessGroup(PATIENCE)
        self._file: ExitStack | None = None
        self._listens = given.show in ("connect", "save")
        self._address = given.address
        self.told = f"Drawing for the viewer at {given.address}."
        if given.show == "save":
            self._folder = Path(given.folder).expanduser().absolute()
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OSError(
                    f"The folder {self._folder} cannot be made ({error.strerror}); set folder."
                ) from None
            self.told = f"Writing an .rrd for each episode into {self._folder}."
        elif not self._listens:
            self._start()

    def _start(self) -> None:
        given = self._given
        self._address = f"rerun+http://{LOOPBACK}:{given.port}/proxy"
        command = [_program(), "--bind", LOOPBACK]
        command += ["--port", str(given.port), "--hide-welcome-screen"]
        ports = [given.port]
        self.told = "Drawing in Rerun's window."
        if given.show == "web":
            command += ["--serve-web", "--web-viewer-port", str(given.web_port)]
            command += ["--server-memory-limit", f"{given.memory}MB"]
            ports.append(given.web_port)
            page = f"http://{LOOPBACK}:{given.web_port}/?url={quote(self._address, safe='')}"
            self.told = f"Watch it in a browser of this machine: {page}"
        for port in ports:
            _check_free(port)
        self._group.start(VIEWER, command)

    def problem(self) -> str:
        """Returns one sentence where the viewer that was started has ended; else ""."""
        end = self._group.poll()
        return f"{end}, and nothing is shown any more; start rerun_node again." if end else ""

    def open(self, drawing: RerunDrawing, episode_id: str) -> None:
        """Lets a drawing go there.

        Args:
            drawing: nothing is drawn yet.
            episode_id: names its file.

        Raises:
            OSError: the viewer does not listen, or the file cannot be written.
        """
        if self._given.show == "save":
            self._file = ExitStack()
            beside = self._file.enter_context(written_whole(self._path(episode_id)))
            drawing.stream.save(beside)
            return
        if not self._listens:
            _await_listener(self._given.port)
            self._listens = True
        if self._given.show == "connect":
            _check_listens(self._given.address)
        drawing.stream.connect_grpc(self._address)

    def _path(self, episode_id: str) -> Path:
        """A file that is not there yet: one episode may be asked about with other words."""
        name = re.sub(r"[^\w.-]", "_", episode_id).lstrip(".") or "episode"
        path, number = self._folder / f"{name}.rrd", 1
        while path.exists():
            number += 1
            path = self._folder / f"{name}_{number}.rrd"
        return path

    def close(self, drawing: RerunDrawing) -> None:
        """Ends a drawing; its file has its name then.

        Raises:
            OSError: the file cannot be written.
        """
        drawing.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    def stop(self) -> None:
        """Ends the viewer that was started here."""
        self._group.stop()


def _program() -> str:
    """The viewer itself; the script of that name starts it as a child that could outlive it."""
    import rerun_cli

    return str(Path(rerun_cli.__file__).with_name("rerun"))


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise OSError(
                f"Port {port} of {LOOPBACK} cannot be taken ({error.strerror}); another viewer may "
                "run: end it, or set port and web_port."
            ) from None


def _check_listens(address: str) -> None:
    """Rerun itself would wait for seconds, and say nothing to us."""
    found = ADDRESS.fullmatch(address)
    host, port = found["host"].strip("[]"), int(found["port"])
    try:
        socket.create_connection((host, port), timeout=ANSWER_LIMIT).close()
    except OSError as error:
        raise OSError(
            f"No viewer can be reached at {address} ({error}); start one there, or set address."
        ) from None


def _await_listener(port: int) -> None:
    end = time.monotonic() + START_LIMIT
    while True:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1.0).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise OSError(
                    f"{VIEWER} did not listen on port {port} within {START_LIMIT:.0f} s."
                ) from None
            time.sleep(0.05)
