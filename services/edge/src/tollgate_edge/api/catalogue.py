"""Which models there are, on which protocols, at which price: router's list, polled.

Owns the edge's copy. Promises: a poll that fails leaves the last list standing; a price that
cannot bound a call takes its model out rather than letting it through unpriced.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.conversation.translation import NO_TRANSLATION
from tollgate_dialects.dialect import Dialect
from tollgate_dialects.pricing.price import PRICE_FIELDS, Price
from tollgate_dialects.tokens import calibration as calibrations
from tollgate_dialects.tokens import vocabulary
from tollgate_dialects.tokens.calibration import Calibration
from tollgate_dialects.upstreams import Upstream
from tollgate_edge.errors import public_errors
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.identity.identity import KeyGrant
from tollgate_kit.lifecycle import core_task
from tollgate_kit.logs import Log
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.rpc.failure import Failure

WIRE_PROTOCOLS = {
    protocol: router_pb2.ClientProtocol.Value(f"CLIENT_PROTOCOL_{protocol.name}")
    for protocol in Protocol
}
_PROTOCOLS = {number: protocol for protocol, number in WIRE_PROTOCOLS.items()}
# The publisher of a model that no list of publishers knows.
_OWN = "operator"


@dataclass(frozen=True, slots=True)
class Model:
    """One model."""

    model: str
    protocols: frozenset[int]
    price: Price
    display_name: str
    owned_by: str
    created_s: int
    # What is known of how its input is counted; None: only its bytes bound it.
    calibration: Calibration | None = None
    # Who may be asked for it.
    upstreams: tuple[Upstream, ...] = ()

    def speaks(self, protocol: Protocol) -> bool:
        """True when a provider of the model speaks this protocol."""
        return WIRE_PROTOCOLS[protocol] in self.protocols

    def speaks_only(self, protocol: Protocol) -> bool:
        """True when every provider of the model speaks this protocol, so nothing is translated."""
        return self.protocols == {WIRE_PROTOCOLS[protocol]}

    def is_served_on(self, dialect: Dialect) -> bool:
        """Return whether some provider answers calls of this dialect, translated or not."""
        is_spoken = WIRE_PROTOCOLS[dialect.provider] in self.protocols
        return is_spoken or dialect.translation is not NO_TRANSLATION


class Catalogue:
    """The newest list that router gave."""

    def __init__(
        self, list_models: Any, *, poll_seconds: float, timeout_s: float, log: Log
    ) -> None:
        self._list_models = list_models
        self._poll_seconds = poll_seconds
        self._timeout_s = timeout_s
        self._log = log
        self._entries: dict[str, Model] = {}
        self._revision = 0
        self._poller: asyncio.Task[None] | None = None
        self.loaded = False

    async def start(self) -> None:
        """Begin polling."""
        self._poller = core_task("catalogue", self._poll())

    async def close(self) -> None:
        """Stop polling."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)

    def find(self, model: str) -> Model | None:
        """A model by its name."""
        return self._entries.get(model)

    def callable_by(self, grant: KeyGrant, name: str) -> Model | Refusal:
        """The model, if this key may call it: on any protocol."""
        if not self.loaded:
            return public_errors.own("CATALOGUE_EMPTY")
        if not grant.allows(name):
            return public_errors.authz_denial("MODEL_NOT_ALLOWED")
        model = self._entries.get(name)
        if model is None:
            return public_errors.own("MODEL_UNKNOWN")
        return model

    def entries(self, allowed_models: frozenset[str]) -> list[Model]:
        """The models that a key may call, by name; an empty set allows every one."""
        return [
            entry
            for name, entry in sorted(self._entries.items())
            if not allowed_models or name in allowed_models
        ]

    async def refresh(self) -> None:
        """Ask once. Raises Failure."""
        request = router_pb2.ListModelsRequest(if_newer_than_revision=self._revision)
        answer = await rpc_client.call(self._list_models, request, self._timeout_s)
        if answer.models or answer.revision != self._revision:
            found = (self._entry(model) for model in answer.models)
            self._entries = {entry.model: entry for entry in found if entry is not None}
            self._revision = answer.revision
            if any(entry.calibration for entry in self._entries.values()):
                vocabulary.load()
        self.loaded = True

    async def _poll(self) -> None:
        while True:
            try:
                await self.refresh()
            except Failure as failure:
                self._log.warning("catalogue.poll_failed", reason=failure.reason)
            await asyncio.sleep(self._poll_seconds)

    def _entry(self, model: Any) -> Model | None:
        try:
            price = Price.of(**{name: getattr(model.price, name) for name in PRICE_FIELDS})
        except ValueError:
            self._log.error("catalogue.price_refused", model=model.model)
            return None
        return Model(
            model=model.model,
            protocols=frozenset(model.protocols),
            price=price,
            display_name=model.display_name or model.model,
            owned_by=model.owned_by or _OWN,
            created_s=model.create_time.seconds,
            calibration=calibrations.BY_WORD.get(model.calibration),
            upstreams=tuple(
                Upstream(_PROTOCOLS[each.protocol], each.upstream_model)
                for each in model.upstreams
                if each.protocol in _PROTOCOLS
            ),
        )
