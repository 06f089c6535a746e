"""No way to an upstream but through a reservation that router itself verifies."""

import json
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.duration_pb2 import Duration

from tests import observe
from tests.live import ANTHROPIC, OPENAI, RPC_TIMEOUT_S, Key, Live
from tollgate.budget.v1 import budget_pb2, budget_pb2_grpc
from tollgate.router.v1 import router_pb2, router_pb2_grpc
from tollgate_edge.api import paths
from tollgate_edge.api.read_api import ReadApi
from tollgate_kit.clock import SystemClock
from tollgate_kit.ids import Ids

IDS = Ids(SystemClock())


@pytest.fixture(scope="module")
def key(live: Live) -> Key:
    return live.key(live.tenant())


@pytest.fixture(scope="module")
def model(live: Live) -> str:
    return live.model("demo-gpt")


def routes() -> dict[str, set[str]]:
    """Path → methods: everything that the edge's public listener serves, from its own tables."""
    reads = ReadApi(
        pipeline=None, catalogue=None, get_call=None, audit_timeout_s=1, ready=lambda: True
    )  # type: ignore[arg-type]
    found: dict[str, set[str]] = {path: {"POST"} for path in paths.HOT}
    for route in reads.app.routes:
        found.setdefault(route.path, set()).update(route.methods)  # type: ignore[attr-defined]
    return found


def test_trust_11_only_priced_routes_take_a_body(live: Live, model: str):
    """Each POST of the route table asks for money before it asks an upstream."""
    table = routes()
    posts = {path for path, methods in table.items() if methods - {"GET", "HEAD"}}
    poor = live.key(live.tenant(0.0000001))
    messages = {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    bodies = {
        "/v1/chat/completions": {"model": model, **messages},
        "/v1/messages": {"model": live.model("demo-claude", ANTHROPIC), **messages},
        "/v1/responses": {"model": model, "max_output_tokens": 16, "input": "hi"},
        "/v1/completions": {"model": model, "max_tokens": 16, "prompt": "hi"},
        "/v1/embeddings": {"model": model, "input": "hi"},
        "/v1/moderations": {"model": model, "input": "hi"},
        "/v1/rerank": {"model": model, "query": "hi", "documents": ["hi"]},
    }
    asked = {"model": model, "input": {"messages": messages["messages"]}}
    for kind in ("text", "multimodal"):
        bodies[f"/api/v1/services/aigc/{kind}-generation/generation"] = asked
    assert bodies.keys() == posts
    # Google's clients name their model in the path.
    said = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    bodies |= {f"/v1beta/models/{model}:{verb}": said for verb in
               ("generateContent", "streamGenerateContent")}  # fmt: skip
    for path in bodies:
        with observe.nothing_happens(live, poor):
            answer = httpx.post(
                live.api_urls[0] + path,
                json=bodies[path],
                headers={"authorization": f"Bearer {poor.text}"},
            )
            assert 402 == answer.status_code


def test_trust_11_no_read_route_asks_an_upstream(live: Live, key: Key):
    """Everything else of the table, called with a good key, reaches nobody."""
    others = {path: methods for path, methods in routes().items() if path not in paths.HOT}
    assert {
        "/v1/models", "/v1/models/{model:path}", "/v1/receipts/{trace_id}", "/", "/health/live",
        "/health/ready",
    } == set(others)  # fmt: skip
    with observe.nothing_happens(live, key):
        for path, methods in others.items():
            for method in methods:
                httpx.request(
                    method,
                    live.api_urls[0]
                    + path.replace("{trace_id}", IDS.uuid7()).replace("{model:path}", "a/b"),
                    headers={"authorization": f"Bearer {key.text}"},
                )


# ---- router, called by a compromised edge --------------------------------------------------------


def reserve(live: Live, key: Key, model: str, amount_nano_usd: int = 5_000_000) -> bytes:
    """A token that budget really granted."""
    stub = budget_pb2_grpc.BudgetServiceStub(live.channel("edge-api", "budget"))
    answer = stub.Reserve(
        budget_pb2.ReserveRequest(
            reservation_id=IDS.uuid7(),
            account_ids=[f"tenant:{key.tenant_id}"],
            amount_nano_usd=amount_nano_usd,
            timeout=Duration(seconds=60),
            trace_id=IDS.uuid7(),
            tenant_id=key.tenant_id,
            model=model,
            input_tokens=100_000,
            max_output_tokens=5,
            price_version=version(live, model),
        ),
        timeout=RPC_TIMEOUT_S,
    )
    assert answer.HasField("reservation")
    token: bytes = answer.reservation.token
    return token


def version(live: Live, model: str) -> int:
    """The newest version of a model's price."""
    request = router_pb2.ListPricesRequest(model=model)
    return live.router_admin.ListPrices(request, timeout=RPC_TIMEOUT_S).prices[0].version


def execute(
    live: Live, key: Key, model: str, token: bytes, /, **changes: Any
) -> list[router_pb2.ExecuteResponse]:
    """Router's Execute, with the edge's own certificate."""
    body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    body["stream"] = changes.get("stream", False)
    fields = {
        "trace_id": IDS.uuid7(),
        "tenant_id": key.tenant_id,
        "client_protocol": OPENAI,
        "model": model,
        "max_output_tokens": 5,
        "reservation_token": token,
        "body": json.dumps(body).encode(),
        "price_version": version(live, model),
        **changes,
    }
    stub = router_pb2_grpc.RouterServiceStub(live.channel("edge-api", "router"))
    return list(stub.Execute(router_pb2.ExecuteRequest(**fields), timeout=RPC_TIMEOUT_S))


def refused(live: Live, key: Key, model: str, token: bytes, /, **changes: Any) -> None:
    """Asserts that router refuses and that the provider never heard of it."""
    before = observe.stats(live)["requests"]
    with pytest.raises(grpc.RpcError) as caught:
        execute(live, key, model, token, **changes)
    assert grpc.StatusCode.PERMISSION_DENIED == caught.value.code()
    assert before == observe.stats(live)["requests"]


def test_trust_11_router_takes_what_budget_granted_once(live: Live, key: Key, model: str):
    """A granted token opens one upstream call; a replay by any trace opens none."""
    token = reserve(live, key, model)
    trace_id = IDS.uuid7()
    before = observe.stats(live)["requests"]
    messages = execute(live, key, model, token, trace_id=trace_id)
    assert router_pb2.END_REASON_COMPLETED == messages[-1].end.reason
    assert before + 1 == observe.stats(live)["requests"]
    refused(live, key, model, token, trace_id=trace_id)
    refused(live, key, model, token)


def test_trust_11_router_refuses_without_a_reservation(live: Live, key: Key, model: str):
    """No token, an empty one, nonsense, or somebody's words: refused."""
    for token in (b"", b"\x00", b"nonsense", b"\xff" * 500, budget_pb2.ReservationToken().SerializeToString()):  # fmt: skip
        refused(live, key, model, token)


def test_trust_11_router_refuses_a_forged_reservation(live: Live, key: Key, model: str):
    """Claims of our own making, another MAC, or one changed byte: refused."""
    token = budget_pb2.ReservationToken.FromString(reserve(live, key, model))
    claims = budget_pb2.ReservationClaims.FromString(token.claims)
    claims.amount_nano_usd *= 1000
    forged = {
        "dearer": budget_pb2.ReservationToken(claims=claims.SerializeToString(), mac=token.mac),
        "no MAC": budget_pb2.ReservationToken(claims=token.claims),
        "short MAC": budget_pb2.ReservationToken(claims=token.claims, mac=token.mac[:16]),
        "zero MAC": budget_pb2.ReservationToken(claims=token.claims, mac=bytes(32)),
        "more claims": budget_pb2.ReservationToken(
            claims=token.claims + b"\x20\x01", mac=token.mac
        ),
    }
    for position in range(0, len(token.mac), 5):
        mac = bytearray(token.mac)
        mac[position] ^= 1
        forged[f"bit {position}"] = budget_pb2.ReservationToken(claims=token.claims, mac=bytes(mac))
    for each in forged.values():
        refused(live, key, model, each.SerializeToString())


def test_trust_11_router_refuses_anothers_reservation(live: Live, key: Key, model: str):
    """A token of another tenant or for another model opens nothing."""
    other_tenant = live.key(live.tenant())
    other_model = live.model("demo-gpt")
    refused(live, key, model, reserve(live, other_tenant, model))
    refused(live, key, model, reserve(live, key, other_model))
    refused(live, key, model, reserve(live, key, model), tenant_id=other_tenant.tenant_id)
    refused(live, key, model, reserve(live, key, model), model=other_model)


def test_trust_11_the_reserved_amount_binds_router(live: Live, key: Key):
    """A token for a nano-dollar opens nothing; one that suffices is cut at its end."""
    model = live.model("demo-endless-1")
    refused(live, key, model, reserve(live, key, model, amount_nano_usd=1), stream=True)
    enough = 1_000_000
    messages = execute(live, key, model, reserve(live, key, model, enough), stream=True)
    assert router_pb2.END_REASON_COST_LIMIT == messages[-1].end.reason
    assert messages[-1].end.cost_nano_usd <= enough
