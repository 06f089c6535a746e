"""The demo provider's failures behind a suite, and all that a client sees of them."""

import concurrent.futures
import dataclasses
import json
from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

import httpx

from tests import observe
from tests.demo import Wire
from tests.live import BASE_PATHS, PRICE, RPC_TIMEOUT_S, Key, Live
from tollgate.router.v1 import router_pb2
from tollgate_cli.demo_provider.failures import CANARY, Failure

ABOUT_UPSTREAM = (
    "org-DemoAbc123456", "req_011CDemoAbc", "internal.provider.example", "elsewhere.example",
)  # fmt: skip
Case = TypeVar("Case", bound=tuple[Failure, Hashable])


@dataclasses.dataclass(frozen=True)
class Seen:
    """All that a client saw of one call."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def everything(self) -> str:
        head = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        return head + "\n" + self.body.decode("utf-8", "replace")


def words_of_upstream(live: Live) -> tuple[str, ...]:
    """What no client may see, whatever it calls."""
    return (live.provider_key, CANARY, live.suite.address("provider"), *ABOUT_UPSTREAM)


def publish(live: Live, cases: Mapping[Case, int]) -> dict[Case, str]:
    """Case, of which the failure is first, → public model; each has its upstream's protocol.

    A provider each, so that no key rests for another's sake.
    """

    def one(case: Case) -> str:
        name, provider = live.name(case[0].name), live.name("failing")
        price = router_pb2.Price(
            model=name, max_input_tokens=100_000, max_output_tokens=1000, **PRICE
        )
        live.router_admin.SetPrice(
            router_pb2.SetPriceRequest(request_id=live.name("req"), price=price),
            timeout=RPC_TIMEOUT_S,
        )
        live.router_admin.AddProvider(
            router_pb2.AddProviderRequest(
                request_id=live.name("req"),
                name=provider,
                protocol=cases[case],
                base_url=live.suite.provider_url + BASE_PATHS.get(cases[case], "/v1"),
                models=[router_pb2.ProviderModel(model=name, upstream_model=case[0].name)],
            ),
            timeout=RPC_TIMEOUT_S,
        )
        live.router_admin.AddProviderKey(
            router_pb2.AddProviderKeyRequest(
                request_id=live.name("req"), provider=provider, secret=live.provider_key
            ),
            timeout=RPC_TIMEOUT_S,
        )
        return name

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return dict(zip(cases, pool.map(one, cases), strict=True))


def ask(
    live: Live, client: httpx.Client, key: Key, model: str, wire: Wire, *, stream: bool
) -> Seen:
    """One call in a protocol, with every byte and header of its answer."""
    with client.stream(
        "POST",
        live.api_urls[0] + wire.path(model, stream),
        json=wire.body(model, 16, stream),
        headers={"authorization": f"Bearer {key.text}", **(wire.streams if stream else {})},
    ) as answer:
        return Seen(answer.status_code, dict(answer.headers), answer.read())


def documents(body: bytes) -> Iterator[dict]:
    """The events of a stream."""
    for line in body.splitlines():
        data = line.removeprefix(b"data:").strip()
        if line.startswith(b"data:") and data != b"[DONE]":
            yield json.loads(data)


def error_of(document: dict, client: str) -> tuple[int, str]:
    """(status, message) of an error in a protocol's shape; status is 0 where it has none."""
    match client:
        case "gemini":
            error = document["error"]
            (info,) = error["details"]
            assert error["status"].isupper()
            assert info["metadata"]["trace_id"]
            return error["code"], error["message"]
        case "dashscope":
            assert document["code"]
            assert document["request_id"]
            return document["status_code"], document["message"]
        case "responses" if document["type"] == "response.failed":
            return 0, document["response"]["error"]["message"]
        case "responses" if "error" not in document:
            return 0, document["message"]
    return 0, observe.error_in(document)["message"]
