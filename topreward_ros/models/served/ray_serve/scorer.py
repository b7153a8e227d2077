"""A model behind the command `serve`."""

from __future__ import annotations

from dataclasses import replace

from topreward_ros.models.contract import ModelError
from topreward_ros.models.served.address import Address
from topreward_ros.models.served.connection import OPEN_KEY, Connection
from topreward_ros.models.served.options import ServedOptions
from topreward_ros.models.served.patience import Patience, ServerAway
from topreward_ros.models.served.ray_serve.answer import Answer, unpack_answer
from topreward_ros.models.served.ray_serve.fields import WireError
from topreward_ros.models.served.ray_serve.served_model import VERSION, ServedModel, unpack_model
from topreward_ros.models.served.ray_serve.session import RaySession
from topreward_ros.models.served.ray_serve.update import Update, pack_update
from topreward_ros.models.server_health import ServerHealth

MODEL, UPDATE = "/v1/model", "/v1/update"
STICKY = "x-session-id"
"""The header by which Ray Serve finds the replica that has the video."""


def open_ray_serve(address: Address, options: ServedOptions) -> RayScorer:
    """Asks a server for its model.

    Raises:
        ModelError: there is none, or not the one that is asked for; one sentence.
    """
    connection, health = Connection(address.url), ServerHealth(address.shown)
    patience = Patience(health, options.patience)
    told = patience.insist(lambda limit: connection.ask(MODEL, limit))
    try:
        if told.status >= 300:
            raise WireError(f"HTTP {told.status} {told.reason}".strip())
        version, model = unpack_model(told.body)
    except WireError as error:
        raise ModelError(
            f"The server {address.url} is none that `serve` of topreward_ros started ({error}); "
            "see the address."
        ) from None
    if model is None:
        raise ModelError(
            f"The server {address.url} speaks version {version} of the wire format, and this robot "
            f"{VERSION}; install the same topreward_ros on both."
        )
    _check_asked(model, address, options)
    return RayScorer(address, model, connection, patience, health)


class RayScorer:
    """Implements `VideoScorer`; see there for the attributes."""

    def __init__(
        self,
        address: Address,
        model: ServedModel,
        connection: Connection,
        patience: Patience,
        health: ServerHealth,
    ) -> None:
        """Knows the model that is served there."""
        self.name = address.name
        self.fingerprint = model.fingerprint
        self.frame_size = model.frame_size
        self.prompt_form = model.prompt_form
        self.success_threshold = model.success_threshold
        self.sample_rate = model.sample_rate
        self.motion_threshold = model.motion_threshold
        self.capabilities = model.capabilities
        self.backend = replace(model.backend, remark=OPEN_KEY if connection.open_key else "")
        self.health = health
        self.max_pairs = model.max_pairs
        self._url, self._model = address.url, model
        self._connection, self._patience = connection, patience

    def start(self) -> RaySession:
        """Starts an episode; there may be any number at a time."""
        return RaySession(self._model, self._ask, self.health)

    def _ask(self, update: Update) -> Answer:
        body = pack_update(update)
        headers = {STICKY: update.episode, "Content-Type": "application/octet-stream"}

        return self._patience.insist(lambda limit: self._once(update, body, headers, limit))

    def _once(self, update: Update, body: bytes, headers: dict[str, str], limit: float) -> Answer:
        told = self._connection.ask(UPDATE, limit, body, headers)
        if told.status >= 500:
            raise ServerAway(f"is in trouble (HTTP {told.status} {told.reason})")
        if told.status == 422:  # as a local model says it
            raise ValueError(told.reason)
        if told.status >= 300:
            raise ModelError(f"The server {self._url} refuses (HTTP {told.status} {told.reason}).")
        try:
            answer = unpack_answer(told.body)
        except WireError as error:
            raise ServerAway(f"gives no answer that can be read ({error})") from None
        self._check_model(answer)
        if not answer.fits(update):
            raise ServerAway("answered another question than the one that was asked")
        return answer

    def _check_model(self, answer: Answer) -> None:
        here, there = (self.fingerprint, self.backend.name), (answer.fingerprint, answer.backend)
        if here != there:
            raise ModelError(
                f"The server {self._url} has another model by now: {there[0]} ({there[1]}) in "
                f"place of {here[0]} ({here[1]}); configure the node again, and calibrate for it."
            )


def _check_asked(model: ServedModel, address: Address, options: ServedOptions) -> None:
    asked = {
        "model": (address.model or model.name, model.name),
        "prompt_form": (options.prompt or model.prompt_form.value, model.prompt_form.value),
        "frame_size": (options.frame_size or model.frame_size, model.frame_size),
        "max_pairs": (options.max_pairs, model.max_pairs),
    }
    for name, (wanted, there) in asked.items():
        if wanted != there:
            raise ModelError(
                f"{name} is {wanted!r}, and the server {address.url} has {there!r}; set {name} to "
                "that here, or start the server with the other."
            )
