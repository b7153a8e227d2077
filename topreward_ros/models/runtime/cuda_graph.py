"""Work of fixed shapes, recorded once and launched as one.

On a GPU the host is the limit: an update of an 8B model is thousands of small launches, and Python
takes longer to make them than the GPU to run them. A CUDA graph is one launch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

Output = TypeVar("Output")
WARM_UP_RUNS = 2
"""Before recording: libraries choose their kernels and take their memory in the first runs."""


class GraphedFunction(Generic[Output]):
    """A function that reads and writes the same tensors each time.

    On a GPU it is recorded as a CUDA graph; elsewhere it is called as it is.
    """

    def __init__(self, function: Callable[[], Output], device: torch.device) -> None:
        """Records the function, which runs a few times for that.

        Args:
            function: takes its input from tensors that stay where they are, asks the host nothing,
                and returns tensors.
            device: where it runs.

        Raises:
            RuntimeError: the function does what a graph cannot hold.
        """
        self._function = function
        self._graph: torch.cuda.CUDAGraph | None = None
        if device.type == "cuda":
            self._record(device)

    def __call__(self) -> Output:
        """Runs it; the returned tensors are overwritten by the next call."""
        if self._graph is None:
            return self._function()
        self._graph.replay()
        return self._output

    def _record(self, device: torch.device) -> None:
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_RUNS):
                self._function()
        torch.cuda.current_stream(device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            self._output = self._function()
        self._graph = graph
