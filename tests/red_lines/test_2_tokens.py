"""Red line 2, against an edge that lies: a token opens what was reserved for it, and only once."""

import json

import grpc
import pytest

from tests import observe
from tests.live import RPC_TIMEOUT_S, Key, Live
from tollgate.budget.v1 import budget_pb2, budget_pb2_grpc
from tollgate.router.v1 import router_pb2, router_pb2_grpc
from tollgate_kit.clock import SystemClock
from tollgate_kit.ids import Ids

IDS = Ids(SystemClock())
ENOUGH = 50_000_000  # nano-USD


@pytest.fixture(scope="module")
def model(live: Live) -> str:
    return live.model("demo-gpt")


@pytest.fixture
def key(live: Live) -> Key:
    return live.key(live.tenant())


def reserve(live: Live, key: Key, model: str, **changes) -> budget_pb2.ReserveResponse:
    fields = {
        "reservation_id": IDS.uuid7(),
        "account_ids": [f"tenant:{key.tenant_id}"],
        "amount_nano_usd": ENOUGH,
        "trace_id": IDS.uuid7(),
        "tenant_id": key.tenant_id,
        "model": model,
        "input_tokens": 10_000,
        "max_output_tokens": 1_000,
        "price_version": version(live, model),
    }
    request = budget_pb2.ReserveRequest(**(fields | changes))
    request.timeout.seconds = 60
    stub = budget_pb2_grpc.BudgetServiceStub(live.channel("edge-api", "budget"))
    return stub.Reserve(request, timeout=RPC_TIMEOUT_S)


def settle(live: Live, reservation_id: str, **fields) -> None:
    stub = budget_pb2_grpc.BudgetServiceStub(live.channel("edge-api", "budget"))
    request = budget_pb2.SettleRequest()
    request.settlements.add(reservation_id=reservation_id, **fields)
    stub.Settle(request, timeout=RPC_TIMEOUT_S)


def version(live: Live, model: str) -> int:
    request = router_pb2.ListPricesRequest(model=model)
    return live.router_admin.ListPrices(request, timeout=RPC_TIMEOUT_S).prices[0].version


def execute(live: Live, key: Key, model: str, token: bytes, **changes) -> str:
    """The reason of the end, or of the refusal."""
    max_tokens = changes.pop("max_tokens", 16)
    body = {
        "model": model,
        "max_tokens": max_tokens,
        "messages": [{"role": "user", "content": "x"}],
    }
    fields = {
        "trace_id": IDS.uuid7(),
        "tenant_id": key.tenant_id,
        "client_protocol": router_pb2.CLIENT_PROTOCOL_OPENAI_CHAT,
        "model": model,
        "max_output_tokens": max_tokens,
        "reservation_token": token,
        "price_version": version(live, model),
        "body": json.dumps(body).encode(),
    }
    stub = router_pb2_grpc.RouterServiceStub(live.channel("edge-api", "router"))
    try:
        request = router_pb2.ExecuteRequest(**(fields | changes))
        answers = list(stub.Execute(request, timeout=RPC_TIMEOUT_S))
    except grpc.RpcError as error:
        return str(error.details())
    return router_pb2.EndReason.Name(answers[-1].end.reason)


def test_case_M4_what_was_reserved_is_what_may_be_executed(live: Live, key: Key, model: str):
    """A token for one nano-USD, a smaller limit, a smaller input or another price opens nothing."""
    small = [
        {"amount_nano_usd": 1},
        {"max_output_tokens": 15},
        {"input_tokens": 10},
        {"price_version": version(live, model) + 1},
    ]
    for changes in small:
        granted = reserve(live, key, model, **changes).reservation
        before = observe.stats(live)["requests"]
        assert "RESERVATION_REFUSED" == execute(live, key, model, granted.token), changes
        assert before == observe.stats(live)["requests"]
    granted = reserve(live, key, model).reservation
    assert "RESERVATION_REFUSED" == execute(live, key, model, granted.token, max_tokens=1_000_000)
    assert "END_REASON_COMPLETED" == execute(live, key, model, granted.token)


@pytest.mark.parametrize("end", [{"amount_nano_usd": 7}, {}, {"quarantine": True}], ids=str)
def test_case_M5_a_reservation_that_ended_gives_no_token(live: Live, key: Key, model: str, end):
    """Settled, released or quarantined: the same Reserve again is refused, and nothing moves."""
    fields = {"reservation_id": IDS.uuid7(), "trace_id": IDS.uuid7()}
    assert reserve(live, key, model, **fields).reservation.token
    settle(live, fields["reservation_id"], **end)
    before = live.account(f"tenant:{key.tenant_id}")
    again = reserve(live, key, model, **fields)
    assert budget_pb2.DENIAL_REASON_RESERVATION_ENDED == again.denial.reason
    assert before == live.account(f"tenant:{key.tenant_id}")
