"""Ray Serve with its replicas: started, told where it stands, ended."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from topreward_ros.quiet_ray import RayTrouble, ray_here
from topreward_ros.serving.arguments import model_asked
from topreward_ros.serving.replica import APPLICATION, DEPLOYMENT, Replica

STORE_BYTES = 500_000_000
"""Of shared memory: a video that is sent as a whole passes through it."""
REQUEST_TIMEOUT = 60.0
"""s, after which a request is given up that its robot has long given up."""
QUEUED = 64
"""Requests that wait for a replica at most; more are told to come later."""
SPARE = 4
"""Requests that a replica has at a time beside one of each of its robots."""
ENDING = 5.0
"""s that a replica has to end."""
ROUTER = "ray.serve.experimental.consistent_hash_router:ConsistentHashRouter"


@contextmanager
def replicas_running(options: argparse.Namespace, say: Callable[[str], None]) -> Iterator[None]:
    """Serves within its body.

    Args:
        options: of the command line.
        say: told when it begins to serve, and where.

    Raises:
        RayTrouble: Ray or a replica cannot begin; one sentence.
    """
    cpus = max(os.cpu_count() or 1, options.replicas or 1)
    with ray_here(cpus, say, STORE_BYTES) as ray:
        from ray import serve

        logging.getLogger("ray.serve").setLevel(logging.CRITICAL)  # importing it sets another
        count, resources = _each(ray, options, cpus)
        try:
            handle = _start(serve, options, count, resources)
            check_problems(handle.broadcast("problem").results())
            fingerprint, backend = handle.broadcast("about").results()[0]
            say(
                f"{options.model} ({fingerprint}, {backend}) is served at {_address(options)} by "
                f"{count} replica{'s' * (count > 1)} with {options.sessions} sessions each."
            )
            yield
        finally:
            serve.shutdown()


def _each(ray: Any, options: argparse.Namespace, cpus: int) -> tuple[int, dict[str, float]]:
    """Returns how many replicas there are, and what each one takes."""
    there = int(ray.cluster_resources().get("GPU", 0))
    gpus = 0 if options.device == "cpu" else min(there, 1)
    count = options.replicas or (there if gpus else 1)
    if gpus and count > there:
        raise RayTrouble(
            f"{count} replicas take a GPU each, and this machine has {there}; give fewer "
            "--replicas, or --device cpu."
        )
    return count, {"num_gpus": gpus, "num_cpus": max(1, cpus // count)}


def _start(serve: Any, options: argparse.Namespace, count: int, resources: dict[str, float]) -> Any:
    quiet = {"log_level": "WARNING", "enable_access_log": False}
    tls = {
        "ssl_certfile": str(options.tls_certificate),
        "ssl_keyfile": str(options.tls_key),
    }
    deployment = serve.deployment(
        name=DEPLOYMENT,
        num_replicas=count,
        ray_actor_options=resources,
        max_ongoing_requests=options.sessions + SPARE,
        max_queued_requests=QUEUED,
        backpressure_config={"status_code": 429, "retry_after_s": 1},
        # Experimental, and not balanced: docs/fleet.md.
        request_router_config={
            "request_router_class": ROUTER,
            "request_router_kwargs": {"num_fallback_replicas": 0},
        },
        graceful_shutdown_timeout_s=ENDING,
        logging_config=quiet,
    )(Replica)
    try:
        serve.start(
            proxy_location="HeadOnly",
            http_options={
                "host": options.host,
                "port": options.port,
                "request_timeout_s": REQUEST_TIMEOUT,
                **(tls if options.tls_certificate else {}),
            },
            logging_config=quiet,
        )
        return serve.run(
            deployment.bind(model_asked(options)), name=APPLICATION, logging_config=quiet
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise RayTrouble(
            f"The replicas cannot begin, as where memory is short: {str(error).splitlines()[0]}"
        ) from error


def check_problems(problems: list[str]) -> None:
    """Raises RayTrouble with the first sentence, if there is one."""
    if told := next(filter(None, problems), ""):
        raise RayTrouble(told)


def _address(options: argparse.Namespace) -> str:
    host = f"[{options.host}]" if ":" in options.host else options.host
    scheme = "https" if options.tls_certificate else "http"
    return f"ray+{scheme}://{host}:{options.port}"
