"""RouterAdminService: providers, their keys and prices. Operators only, by the allow-list.

Every change: a repeat gets the stored answer; else it is checked, its intent is made durable in
audit, and then one transaction makes it. Without audit nothing changes. No RPC returns a key.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from google.protobuf.message import Message

from tollgate.audit.v1 import audit_pb2
from tollgate.router.v1 import router_pb2, router_pb2_grpc
from tollgate_dialects.pricing.price import Price
from tollgate_kit.changes.intent import record_intent
from tollgate_kit.clock import Clock
from tollgate_kit.evidence import OPERATOR_TENANT, EvidenceProducer
from tollgate_kit.ids import Ids
from tollgate_kit.keyring.base import KeyringFault
from tollgate_kit.rpc.context import caller
from tollgate_kit.rpc.failure import already_exists, invalid_field, mismatch, not_found, overloaded
from tollgate_kit.secret import Secret
from tollgate_router import messages
from tollgate_router.provider_test import ProviderTest
from tollgate_router.providers import admission, base_url
from tollgate_router.providers.admission import InvalidField
from tollgate_router.providers.catalogue import SHARED_TENANT, Provider, ProviderKey
from tollgate_router.providers.catalogue_watch import CatalogueWatch
from tollgate_router.providers.provider_keys import ProviderKeys
from tollgate_router.providers.store_postgres import PostgresStore, Repeated, Request, StoredAnswer

A = TypeVar("A", bound=Message)


class RouterAdminServicer(router_pb2_grpc.RouterAdminServiceServicer):
    """Serves the operator's tools."""

    def __init__(
        self,
        *,
        store: PostgresStore,
        watch: CatalogueWatch,
        keys: ProviderKeys,
        evidence: EvidenceProducer,
        tester: ProviderTest,
        allow_private: bool,
        ids: Ids,
        clock: Clock,
    ) -> None:
        self._store = store
        self._watch = watch
        self._keys = keys
        self._evidence = evidence
        self._tester = tester
        self._allow_private = allow_private
        self._ids = ids
        self._clock = clock

    async def AddProvider(
        self, request: router_pb2.AddProviderRequest, context: Any
    ) -> router_pb2.AddProviderResponse:
        del context
        remembered = _remember("AddProvider", request)
        if (old := await self._store.answered(remembered.request_id)) is not None:
            return _replay(old, remembered, router_pb2.AddProviderResponse)
        protocol = messages.PROTOCOLS.get(request.protocol)
        if protocol is None:
            raise invalid_field("protocol")
        try:
            name = admission.provider_name(request.name)
            address = admission.address(request.base_url, allow_private=self._allow_private)
            models = admission.models([(m.model, m.upstream_model) for m in request.models])
        except InvalidField as bad:
            raise invalid_field(bad.field, bad.why) from None
        await self._watch.refresh()
        if name in self._watch.snapshot.providers:
            # Perhaps by a twin of this very request, a moment ago.
            if (old := await self._store.answered(remembered.request_id)) is not None:
                return _replay(old, remembered, router_pb2.AddProviderResponse)
            raise already_exists("provider", name)
        provider = Provider(
            name, protocol, str(address), models, (), enabled=True,
            create_unix_ms=self._clock.unix_ms(),
            without_include_usage=request.without_include_usage,
        )  # fmt: skip
        answer = router_pb2.AddProviderResponse(provider=messages.provider_message(provider))
        await self._intend(
            remembered,
            "add_provider",
            provider=name,
            protocol=protocol.value,
            origin_sha256=hashlib.sha256(address.origin.encode()).hexdigest(),
            models=[served.model for served in models],
            without_include_usage=provider.without_include_usage,
        )
        return await self._change(
            remembered,
            answer,
            lambda: self._store.add_provider(
                remembered, provider, answer=answer.SerializeToString()
            ),
        )

    async def AddProviderKey(
        self, request: router_pb2.AddProviderKeyRequest, context: Any
    ) -> router_pb2.AddProviderKeyResponse:
        del context
        # What is remembered of the request holds nothing made from the key.
        secret, public = Secret(request.secret), router_pb2.AddProviderKeyRequest()
        public.CopyFrom(request)
        public.ClearField("secret")
        remembered = _remember("AddProviderKey", public)
        if (old := await self._store.answered(remembered.request_id)) is not None:
            answer = _replay(old, remembered, router_pb2.AddProviderKeyResponse)
            await self._check_same_key(remembered, request.provider, answer.key_id, secret)
            return answer
        try:
            admission.key(request.secret)
        except InvalidField as bad:
            raise invalid_field(bad.field, bad.why) from None
        provider = await self._provider(request.provider)
        # Whether the deployment allows it is asked on every use; encryption only needs its origin.
        address = base_url.parse(provider.base_url, allow_private=True)
        key_id = f"pk-{self._ids.base62(12)}"
        encrypted = await self._keys.encrypt(SHARED_TENANT, key_id, address, secret)
        answer = router_pb2.AddProviderKeyResponse(key_id=key_id)
        intended = answer.SerializeToString()
        await self._intend(remembered, "add_provider_key", provider=provider.name, key_id=key_id)
        answer = await self._change(
            remembered,
            answer,
            lambda: self._store.add_key(
                remembered,
                provider.name,
                ProviderKey(key_id, SHARED_TENANT, encrypted),
                answer=intended,
            ),
        )
        if answer.key_id != key_id:  # a twin of this request was first
            await self._check_same_key(remembered, provider.name, answer.key_id, secret)
        return answer

    async def ListProviders(
        self, request: router_pb2.ListProvidersRequest, context: Any
    ) -> router_pb2.ListProvidersResponse:
        del request, context
        await self._watch.refresh()
        return router_pb2.ListProvidersResponse(
            providers=[
                messages.provider_message(provider)
                for provider in self._watch.snapshot.providers.values()
            ]
        )

    async def SetProviderEnabled(
        self, request: router_pb2.SetProviderEnabledRequest, context: Any
    ) -> router_pb2.SetProviderEnabledResponse:
        del context
        remembered = _remember("SetProviderEnabled", request)
        if (old := await self._store.answered(remembered.request_id)) is not None:
            return _replay(old, remembered, router_pb2.SetProviderEnabledResponse)
        provider = replace(await self._provider(request.name), enabled=request.enabled)
        answer = router_pb2.SetProviderEnabledResponse(provider=messages.provider_message(provider))
        action = "enable_provider" if request.enabled else "disable_provider"
        await self._intend(remembered, action, provider=provider.name)
        return await self._change(
            remembered,
            answer,
            lambda: self._store.set_enabled(
                remembered,
                provider.name,
                enabled=request.enabled,
                answer=answer.SerializeToString(),
            ),
        )

    async def TestProvider(
        self, request: router_pb2.TestProviderRequest, context: Any
    ) -> router_pb2.TestProviderResponse:
        del context
        provider = await self._provider(request.name)
        served = next((m for m in provider.models if request.model in ("", m.model)), None)
        if served is None:
            raise not_found("model", request.model)
        found = await self._tester.run(provider, served)
        return router_pb2.TestProviderResponse(
            ok=not found.problem,
            http_status=found.http_status,
            latency_ms=found.latency_ms,
            problem=found.problem,
        )

    async def SetPrice(
        self, request: router_pb2.SetPriceRequest, context: Any
    ) -> router_pb2.SetPriceResponse:
        del context
        # Version and source are ours to say; a client may send back what it was shown.
        asked = router_pb2.SetPriceRequest()
        asked.CopyFrom(request)
        asked.price.ClearField("version")
        asked.price.ClearField("source")
        remembered = _remember("SetPrice", asked)
        if (old := await self._store.answered(remembered.request_id)) is not None:
            return _replay(old, remembered, router_pb2.SetPriceResponse)
        newest = await self._store.newest_prices(request.price.model)
        version = newest[0].version + 1 if newest else 1
        try:
            admission.model_name(request.price.model, field="price.model")
            price = messages.price_from(request.price, version=version, source="operator")
        except InvalidField as bad:
            raise invalid_field(bad.field, bad.why) from None
        except ValueError as bad:
            raise invalid_field("price", str(bad)) from None
        answer = router_pb2.SetPriceResponse(price=messages.price_message(price))
        await self._intend(remembered, "set_price", price=price)
        return await self._change(
            remembered,
            answer,
            lambda: self._store.set_price(remembered, price, answer=answer.SerializeToString()),
        )

    async def ListPrices(
        self, request: router_pb2.ListPricesRequest, context: Any
    ) -> router_pb2.ListPricesResponse:
        del context
        prices = await self._store.newest_prices(request.model)
        return router_pb2.ListPricesResponse(prices=[messages.price_message(p) for p in prices])

    async def _provider(self, name: str) -> Provider:
        await self._watch.refresh()
        provider = self._watch.snapshot.providers.get(name)
        if provider is None:
            raise not_found("provider", name)
        return provider

    async def _check_same_key(
        self, remembered: Request, provider_name: str, key_id: str, secret: Secret
    ) -> None:
        """A repeat with another secret is another request."""
        provider = await self._provider(provider_name)
        key = next((key for key in provider.keys if key.key_id == key_id), None)
        try:
            address = base_url.parse(provider.base_url, allow_private=True)
            same = key is not None and secret == await self._keys.decrypt(
                key.tenant, key_id, address, key.encrypted
            )
        except KeyringFault:
            same = False
        if not same:
            raise mismatch(remembered.request_id, "secret")

    async def _intend(
        self, request: Request, action: str, *, price: Price | None = None, **facts: Any
    ) -> None:
        """Make the intent durable; raises AUDIT_NOT_DURABLE, and then nothing is changed."""
        kind = audit_pb2.ENTRY_KIND_PROVIDER_CHANGED
        if price is not None:
            kind = audit_pb2.ENTRY_KIND_PRICE_CHANGED
            facts = {field: getattr(price, field) for field in Price.__dataclass_fields__}
        await record_intent(
            self._evidence,
            kind,
            {"action": action, **facts},
            tenant_id=OPERATOR_TENANT,
            subject=caller(),
            request_id=request.request_id,
            time_unix_ms=self._clock.unix_ms(),
        )

    async def _change(
        self, request: Request, answer: A, effect: Callable[[], Awaitable[None]]
    ) -> A:
        """Carry out the one transaction; a concurrent twin's answer is this request's too."""
        try:
            await effect()
        except Repeated:
            old = await self._store.answered(request.request_id)
            if old is None:
                raise overloaded("price") from None
            return _replay(old, request, type(answer))
        await self._watch.refresh()
        return answer


def _remember(method: str, request: Any) -> Request:
    """What is kept of a request, to know it again. Raises INVALID_FIELD for a bad id."""
    try:
        request_id = admission.request_id(request.request_id)
    except InvalidField as bad:
        raise invalid_field(bad.field, bad.why) from None
    content = request.SerializeToString(deterministic=True)
    return Request(request_id, method, hashlib.sha256(content).digest())


def _replay(old: StoredAnswer, request: Request, answer_type: type[A]) -> A:
    """The stored answer, if it was to this very request. Raises IDEMPOTENCY_MISMATCH."""
    if old.method != request.method:
        raise mismatch(request.request_id, "method")
    if old.content_sha256 != request.content_sha256:
        raise mismatch(request.request_id, "content")
    return answer_type.FromString(old.answer)
