"""RouterAdminService: providers, their keys and prices. Operators only, by the allow-list.

Every change: a repeat gets the first answer; else it is checked, its intent is made durable in
audit, and its transaction commits. Without audit nothing changes. No RPC returns a key.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from google.protobuf.message import Message

from tollgate.audit.v1 import audit_pb2
from tollgate.router.v1 import router_pb2, router_pb2_grpc
from tollgate_dialects.pricing.price import Price
from tollgate_kit.changes.intent import record_intent
from tollgate_kit.changes.request import ChangeRequest
from tollgate_kit.clock import Clock
from tollgate_kit.evidence import OPERATOR_TENANT, EvidenceProducer
from tollgate_kit.ids import Ids
from tollgate_kit.keyring.base import KeyringAway, KeyringFault
from tollgate_kit.rpc.context import caller
from tollgate_kit.rpc.failure import invalid_field, mismatch, not_found, store_unavailable
from tollgate_kit.secret import Secret
from tollgate_router import messages
from tollgate_router.provider_test import ProviderTest
from tollgate_router.providers import admission, base_url
from tollgate_router.providers.admission import InvalidField
from tollgate_router.providers.catalogue import SHARED_TENANT, Provider, ProviderKey
from tollgate_router.providers.catalogue_watch import CatalogueWatch
from tollgate_router.providers.change_postgres import CatalogueChange
from tollgate_router.providers.provider_keys import ProviderKeys
from tollgate_router.providers.store_postgres import PostgresStore

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
        token_uris: Collection[str],
        ids: Ids,
        clock: Clock,
    ) -> None:
        self._store = store
        self._watch = watch
        self._keys = keys
        self._evidence = evidence
        self._tester = tester
        self._allow_private = allow_private
        self._token_uris = token_uris
        self._ids = ids
        self._clock = clock

    async def AddProvider(
        self, request: router_pb2.AddProviderRequest, context: Any
    ) -> router_pb2.AddProviderResponse:
        del context
        asked = ChangeRequest.of_message(request)
        provider = self._new_provider(request)
        origin = base_url.parse(provider.base_url, allow_private=self._allow_private).origin

        async def make(change: CatalogueChange) -> router_pb2.AddProviderResponse:
            await change.add_provider(provider)
            await self._intend(
                asked,
                "add_provider",
                provider=provider.name,
                protocol=provider.protocol.value,
                origin_sha256=hashlib.sha256(origin.encode()).hexdigest(),
                models=[served.model for served in provider.models],
                without_include_usage=provider.without_include_usage,
            )
            return router_pb2.AddProviderResponse(provider=messages.provider_message(provider))

        return await self._change(asked, router_pb2.AddProviderResponse, make)

    async def AddProviderKey(
        self, request: router_pb2.AddProviderKeyRequest, context: Any
    ) -> router_pb2.AddProviderKeyResponse:
        del context
        # What is kept of the request holds nothing made from the key.
        secret, public = Secret(request.secret), router_pb2.AddProviderKeyRequest()
        public.CopyFrom(request)
        public.ClearField("secret")
        asked = ChangeRequest.of_message(public)
        provider = await self._provider(request.provider)
        with _checked():
            # An account's key is checked by arithmetic that would hold up the loop.
            await asyncio.to_thread(
                admission.key, request.secret, provider.protocol, self._token_uris
            )
        # Whether the deployment allows it is asked on every use; encryption only needs its origin.
        address = base_url.parse(provider.base_url, allow_private=True)
        key_id = f"pk-{self._ids.base62(12)}"

        async def make(change: CatalogueChange) -> router_pb2.AddProviderKeyResponse:
            # Inside the change: who waits for its end knows the version that it encrypts with.
            try:
                encrypted = await self._keys.encrypt(SHARED_TENANT, key_id, address, secret)
            except KeyringFault:
                raise store_unavailable("keyring") from None
            await change.add_key(provider.name, ProviderKey(key_id, SHARED_TENANT, encrypted))
            await self._intend(asked, "add_provider_key", provider=provider.name, key_id=key_id)
            return router_pb2.AddProviderKeyResponse(key_id=key_id)

        answer = await self._change(asked, router_pb2.AddProviderKeyResponse, make)
        if answer.key_id != key_id:  # the request was made before
            await self._check_same_key(asked, provider.name, answer.key_id, secret)
        return answer

    async def RemoveProviderKey(
        self, request: router_pb2.RemoveProviderKeyRequest, context: Any
    ) -> router_pb2.RemoveProviderKeyResponse:
        del context
        asked = ChangeRequest.of_message(request)
        provider = await self._provider(request.provider)

        async def make(change: CatalogueChange) -> router_pb2.RemoveProviderKeyResponse:
            left = await change.remove_key(provider.name, request.key_id)
            if left is None:
                raise not_found("provider_key", request.key_id)
            if not left:
                raise invalid_field("key_id", "it is the only key: add the next one first")
            await self._intend(
                asked, "remove_provider_key", provider=provider.name, key_id=request.key_id
            )
            return router_pb2.RemoveProviderKeyResponse()

        return await self._change(asked, router_pb2.RemoveProviderKeyResponse, make)

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
        asked = ChangeRequest.of_message(request)
        provider = replace(await self._provider(request.name), enabled=request.enabled)
        action = "enable_provider" if request.enabled else "disable_provider"

        async def make(change: CatalogueChange) -> router_pb2.SetProviderEnabledResponse:
            await change.set_enabled(provider.name, enabled=provider.enabled)
            await self._intend(asked, action, provider=provider.name)
            return router_pb2.SetProviderEnabledResponse(
                provider=messages.provider_message(provider)
            )

        return await self._change(asked, router_pb2.SetProviderEnabledResponse, make)

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
            unreached=found.unreached,
        )

    async def SetPrice(
        self, request: router_pb2.SetPriceRequest, context: Any
    ) -> router_pb2.SetPriceResponse:
        del context
        # Version and source are ours to say; a client may send back what it was shown.
        own = router_pb2.SetPriceRequest()
        own.CopyFrom(request)
        own.price.ClearField("version")
        own.price.ClearField("source")
        asked = ChangeRequest.of_message(own)
        with _checked():
            admission.model_name(request.price.model, field="price.model")
        try:
            wanted = messages.price_from(request.price, version=1, source="operator")
        except ValueError as bad:
            raise invalid_field("price", str(bad)) from None

        async def make(change: CatalogueChange) -> router_pb2.SetPriceResponse:
            price = replace(wanted, version=await change.next_version(wanted.model))
            await change.add_price(price)
            await self._intend(asked, "set_price", price=price)
            return router_pb2.SetPriceResponse(price=messages.price_message(price))

        return await self._change(asked, router_pb2.SetPriceResponse, make)

    async def ListPrices(
        self, request: router_pb2.ListPricesRequest, context: Any
    ) -> router_pb2.ListPricesResponse:
        del context
        prices = await self._store.newest_prices(request.model)
        return router_pb2.ListPricesResponse(prices=[messages.price_message(p) for p in prices])

    def _new_provider(self, request: router_pb2.AddProviderRequest) -> Provider:
        protocol = messages.PROTOCOLS.get(request.protocol)
        if protocol is None:
            raise invalid_field("protocol")
        with _checked():
            name = admission.provider_name(request.name)
            address = admission.address(request.base_url, allow_private=self._allow_private)
            models = admission.models([(m.model, m.upstream_model) for m in request.models])
        return Provider(
            name, protocol, str(address), models, (), enabled=True,
            create_unix_ms=self._clock.unix_ms(),
            without_include_usage=request.without_include_usage,
        )  # fmt: skip

    async def _provider(self, name: str) -> Provider:
        await self._watch.refresh()
        provider = self._watch.snapshot.providers.get(name)
        if provider is None:
            raise not_found("provider", name)
        return provider

    async def _check_same_key(
        self, asked: ChangeRequest, provider_name: str, key_id: str, secret: Secret
    ) -> None:
        """A repeat with another secret is another request."""
        provider = await self._provider(provider_name)
        key = next((key for key in provider.keys if key.key_id == key_id), None)
        try:
            address = base_url.parse(provider.base_url, allow_private=True)
            same = key is not None and secret == await self._keys.decrypt(
                key.tenant, key_id, address, key.encrypted
            )
        except KeyringAway:
            raise store_unavailable("keyring") from None
        except KeyringFault:
            same = False
        if not same:
            raise mismatch(asked.request_id, "content")

    async def _intend(
        self, request: ChangeRequest, action: str, *, price: Price | None = None, **facts: Any
    ) -> None:
        """Make the intent durable; raises AUDIT_NOT_DURABLE, and then nothing is changed."""
        kind = audit_pb2.ENTRY_KIND_PROVIDER_CHANGED
        if price is not None:
            kind = audit_pb2.ENTRY_KIND_PRICE_CHANGED
            facts = dict(price.fields())
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
        self,
        request: ChangeRequest,
        answer_type: type[A],
        make: Callable[[CatalogueChange], Awaitable[A]],
    ) -> A:
        """Carry a request out at most once. `make` changes, then records its intent."""
        answer = await self._store.change(request, make)
        await self._watch.refresh()
        return answer_type.FromString(answer.answer)


@contextmanager
def _checked() -> Iterator[None]:
    """A field that breaks a rule is INVALID_FIELD."""
    try:
        yield
    except InvalidField as bad:
        raise invalid_field(bad.field, bad.why) from None
