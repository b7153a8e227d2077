"""Spins a node until SIGINT or SIGTERM, and lets it end in order.

rclpy's own handlers take the context down at once, so that a node could neither finish its
transitions nor publish its last words.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import rclpy
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from topreward_ros.nodes.programs import SIGNALS


def run_node(
    create: Callable[[], Node],
    close: Callable[[Node], object],
    arguments: Sequence[str] | None = None,
    last: Callable[[Node], Coroutine[Any, Any, None]] | None = None,
) -> int:
    """Runs a node until a signal or the end of the context, in the process's main thread.

    A callback that raises is logged with its trace; the node lives on. After a signal the process
    is about to end, and ignores further ones.

    Args:
        create: makes the node, after rclpy is initialised.
        close: ends and destroys it.
        arguments: of the command line; None: this process's.
        last: what the node still does, with its callbacks running, after the signal.

    Returns:
        The exit code: 1 where the node gave up by itself.
    """
    with _signals() as stop:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        node = create()
        spin(node, stop, last)
        close(node)
        rclpy.try_shutdown()
    return int(stop.gave_up)


def leave(code: int) -> NoReturn:
    """Ends the process with an exit code, without finalising Python.

    With a model loaded that takes seconds, and while a library still loads one it cannot be done.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Stop:
    """Whether the end was asked for, or the node gave up; and whom to wake then."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.gave_up = False
        self.wake: Callable[[], None] | None = None

    def ask(self) -> None:
        """Asks for the end, from any thread."""
        self.asked.set()
        wake = self.wake
        if wake is not None:
            with suppress(InvalidHandle):  # the node has just ended
                wake()

    def give_up(self) -> None:
        """Asks for the end of a node that has nothing more to do."""
        self.gave_up = True
        self.ask()


def spin(
    node: Node, stop: Stop, last: Callable[[Node], Coroutine[Any, Any, None]] | None = None
) -> None:
    """Runs a node's callbacks until it is asked to stop; logs what they raise.

    Args:
        node: whose callbacks.
        stop: asks for the end.
        last: runs to its end after that, unless the node gave up; must limit its own time.
    """
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    # spin_once() returns only after a callback, so a wake-up has to be one.
    guard = node.create_guard_condition(lambda: None)
    stop.wake = guard.trigger
    node.give_up = stop.give_up
    try:
        _spin_until(stop.asked.is_set, executor, node)
        if last is not None and not stop.gave_up and executor.context.ok():
            _spin_until(executor.create_task(last(node)).done, executor, node)
    finally:
        stop.wake = node.give_up = None
        executor.remove_node(node)
        executor.shutdown()


def _spin_until(done: Callable[[], bool], executor: SingleThreadedExecutor, node: Node) -> None:
    while not done() and executor.context.ok():
        try:
            executor.spin_once()
        except ExternalShutdownException:
            break
        except Exception:
            node.get_logger().error(f"A callback failed:\n{traceback.format_exc()}")


@contextmanager
def _signals() -> Iterator[Stop]:
    """Turns signals into a request to stop, even while the main thread waits inside of ROS."""
    # Python runs handlers only between bytecodes, which a waiting executor never reaches; the
    # byte on the socket is written at once.
    stop = Stop()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    former = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}

    def listen() -> None:
        while number := reader.recv(1):
            if number[0] in SIGNALS:
                stop.ask()

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(former)
        for number, handler in handlers.items():
            # Launch repeats the signal of a Ctrl-C, while the process may be on its last steps.
            signal.signal(number, signal.SIG_IGN if stop.asked.is_set() else handler)
        writer.close()
        listener.join()
        reader.close()
