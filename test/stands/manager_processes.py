"""A reward node and a manager as processes, cameras that run, and a tester beside them."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from manager_stack import TASK, Film, ManagerSide, Robot
from rcl_interfaces.srv import GetParameters
from reward_stack import Image, Tester
from warm_processes import WarmProcess, fresh_process

from topreward_ros.nodes.running.node_commands import node_command

LOADING = 300.0
"""s for a process to import its libraries and load a model, on a busy machine too."""
_namespaces = itertools.count()


class Lab(ManagerSide, Tester):
    """A reward node and a manager as processes, cameras that run, and a tester."""

    def __init__(
        self, model, log, *, reward=None, manager=None, cameras=1, environment=None, fresh=False
    ) -> None:
        """Starts the cameras; `launch` starts the processes.

        Args:
            model: checkpoint directory.
            log: directory that gets the processes' output.
            reward: parameters of the reward node.
            manager: those of the manager.
            cameras: how many.
            environment: more for each; what libraries read as they are loaded needs `fresh`.
            fresh: starts them from nothing, as on a robot: for what a start or its memory costs.
        """
        self.namespace = f"/p{next(_namespaces)}"
        Tester.__init__(self, f"{self.namespace}/reward_node")
        self.topics = [f"{self.namespace}/camera_{index}" for index in range(cameras)]
        self.film = Film([self.node.create_publisher(Image, topic, 10) for topic in self.topics])
        self._log = log
        self._fresh = fresh
        self._environment = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
        self._reward = {
            "model": str(model), "device": "cpu", "cameras": self.topics, "instruction": TASK,
            **(reward or {}),
        }  # fmt: skip
        self._manager = {"node_timeout": 4.0, **(manager or {})}
        self.processes: dict[str, subprocess.Popen | WarmProcess] = {}
        self._known: set[tuple[int, ...]] = set()
        self.manage(f"{self.namespace}/episode_manager")
        self.robot = Robot(self)

    def launch(self, name: str) -> subprocess.Popen | WarmProcess:
        """Starts a node's process; with the other parameters each time the same."""
        parameters = self._reward if name == "reward_node" else self._manager
        command = node_command(name, parameters, namespace=self.namespace)
        if name == "episode_manager":
            self._known = self._managers()
        else:
            self.statuses.clear()  # what its predecessor has said
        start = fresh_process if self._fresh else WarmProcess
        self.processes[name] = start(
            command, env=self._environment, output=self._log / f"{name}.log"
        )
        return self.processes[name]

    def hears_cameras(self) -> bool:
        """Whether the reward node has said that it gets pictures of each camera."""
        told = [self.status(f"camera {topic}") for topic in self.topics]
        return all(one is not None and one.message == "Heard." for one in told)

    def end(self, name: str, number: int) -> int:
        """Signals a process, goes on answering, and returns its exit code."""
        process = self.processes.pop(name)
        process.send_signal(number)
        self.wait(lambda: process.poll() is not None)
        return process.returncode

    def meet(self) -> None:
        """Waits until the manager that was launched and this node have found each other."""
        # One that was killed is seen for long.
        self.wait(lambda: self._managers() - self._known)
        client = self.node.create_client(GetParameters, f"{self.manager_name}/get_parameters")
        # Once it knows this client, the newest that there is, it knows all of them.
        self.insist(client, GetParameters.Request())
        self.node.destroy_client(client)

    def _managers(self) -> set[tuple[int, ...]]:
        # The last that a manager advertises; whoever finds it has found all of its services.
        topic = f"{self.namespace}/episode_manager/run_episode/_action/status"
        found = self.node.get_publishers_info_by_topic(topic)
        return {tuple(publisher.endpoint_gid) for publisher in found}

    def tune(self, **values: object) -> None:
        """Sets parameters of the manager."""
        assert not self.set_of(self.manager_name, **values)

    def said(self, name: str) -> str:
        """Returns a node's output so far."""
        return (self._log / f"{name}.log").read_text()

    def close(self) -> None:
        """Ends everything."""
        self.film.stop()
        for process in self.processes.values():
            process.kill()
            process.wait()
        Tester.close(self)


@contextmanager
def processes(model: Path | str, log: Path, **parameters: object) -> Iterator[Lab]:
    """Starts both and waits until the model is loaded."""
    lab = Lab(model, log, **parameters)
    try:
        lab.launch("reward_node")
        lab.launch("episode_manager")
        lab.wait(lambda: "is up, after" in lab.said("episode_manager"), LOADING)
        lab.meet()
        yield lab
    finally:
        lab.close()
