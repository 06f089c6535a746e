"""A call's receipt: what its entries in the audit log say, in the words of the API.

Owns the shape of GET /v1/receipts/{trace_id}. Promises: money stands as exact decimal text and as
whole nano-USD; a call whose end is not recorded has no cost, rather than cost 0. Pure.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tollgate_edge.errors.money import usd

TRACE_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_ADMITTED = "CALL_ADMITTED"
_FINISHED = "CALL_FINISHED"
_FINISHED_FIELDS = (
    "charged",
    "charge_reason",
    "usage",
    "usage_source",
    "price_version",
    "end_reason",
    "http_status",
    "route",
    "attempts",
)


def build(trace_id: str, entries: Iterable[tuple[int, Mapping[str, Any]]]) -> dict[str, Any] | None:
    """The receipt from (index, leaf) pairs; None when the call was never admitted."""
    by_kind = {leaf["kind"]: (index, leaf["payload"]) for index, leaf in entries}
    if _ADMITTED not in by_kind and _FINISHED not in by_kind:
        return None
    receipt: dict[str, Any] = {"object": "receipt", "trace_id": trace_id, "state": "open"}
    if _ADMITTED in by_kind:
        index, admitted = by_kind[_ADMITTED]
        receipt |= {"model": admitted["model"], "protocol": admitted["protocol"]}
        receipt["reservation"] = {
            "reservation_id": admitted["reservation_id"],
            "account_ids": admitted["account_ids"],
            "amount_usd": usd(admitted["amount_nano_usd"]),
            "amount_nano_usd": admitted["amount_nano_usd"],
            "audit_index": index,
            "time_unix_ms": admitted["time_unix_ms"],
        }
    if _FINISHED in by_kind:
        index, finished = by_kind[_FINISHED]
        receipt |= {name: finished[name] for name in _FINISHED_FIELDS}
        receipt |= {
            "state": "finished",
            "model": finished["model"],
            "cost_usd": usd(finished["cost_nano_usd"]),
            "cost_nano_usd": finished["cost_nano_usd"],
            "audit_index": index,
            "time_unix_ms": finished["time_unix_ms"],
        }
        held = finished.get("quarantined_nano_usd")
        if held is not None:
            # Not billed, and not zero: what the upstream did is not known.
            del receipt["cost_usd"], receipt["cost_nano_usd"]
            receipt |= {"quarantined_usd": usd(held), "quarantined_nano_usd": held}
    return receipt
