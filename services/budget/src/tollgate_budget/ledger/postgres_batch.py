"""One batch of the ledger in SQL: which rows it locks and reads, and how it writes them back.

Two round trips, whatever the size of the batch: lock and read, then write and commit. Account
rows are locked in the order of their ids, so that two batches cannot deadlock; transfers are
read after the locks, so that no other program can be changing them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from tollgate_budget.ledger.ledger import Book, Reserve, State, Step, Terms, Transfer, TransferId
from tollgate_budget.ledger.month import Month
from tollgate_budget.ledger.window import AccountId, Window, WindowKey
from tollgate_kit.postgres.arrays import plain, texts

WINDOW_COLUMNS = """w.account_id, w.month, w.limit_nano_usd, w.ceiling_nano_usd, w.posted_nano_usd,
  w.pending_nano_usd, w.quarantined_nano_usd, w.overrun_nano_usd, w.frozen"""

TRANSFER_COLUMNS = """id::text, tenant_id, trace_id, model, account_ids, month, reserved_nano_usd,
  create_unix_ms, expire_unix_ms, state, posted_nano_usd, late, end_unix_ms,
  input_tokens, max_output_tokens, price_version"""

# The accounts of new reservations, and those of the transfers that are named: which accounts a
# transfer counts on never changes, so they may be read before the locks are taken.
LOCK_WINDOWS = f"""
WITH named AS MATERIALIZED (
  SELECT unnest($1::text[]) AS account_id, $2::integer AS month
  UNION
  SELECT unnest(t.account_ids), t.month FROM transfer t WHERE t.id = ANY ($3::uuid[])
)
SELECT {WINDOW_COLUMNS}
FROM named JOIN account_window w USING (account_id, month)
ORDER BY w.account_id, w.month FOR NO KEY UPDATE OF w
"""  # noqa: S608 - put together from constants of this file

READ_TRANSFERS = f"SELECT {TRANSFER_COLUMNS} FROM transfer WHERE id = ANY ($1::uuid[])"  # noqa: S608 - constants

# No ON CONFLICT: an id that somebody else inserted meanwhile must undo the whole batch.
WRITE = """
WITH sums AS (
  UPDATE account_window w SET
    ceiling_nano_usd = v.ceiling, posted_nano_usd = v.posted, pending_nano_usd = v.pending,
    quarantined_nano_usd = v.quarantined, overrun_nano_usd = v.overrun, frozen = v.frozen
  FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
    $7::bigint[], $8::boolean[])
    AS v (account_id, month, ceiling, posted, pending, quarantined, overrun, frozen)
  WHERE w.account_id = v.account_id AND w.month = v.month
), added AS (
  INSERT INTO transfer (id, tenant_id, trace_id, model, account_ids, month, reserved_nano_usd,
    create_unix_ms, expire_unix_ms, state, posted_nano_usd, late, end_unix_ms,
    input_tokens, max_output_tokens, price_version)
  SELECT id, tenant_id, trace_id, model, string_to_array(account_ids, ' '), month, reserved,
    create_ms, expire_ms, state, posted, late, end_ms,
    input_tokens, max_output_tokens, price_version
  FROM unnest($9::uuid[], $10::text[], $11::text[], $12::text[], $13::text[], $14::integer[],
    $15::bigint[], $16::bigint[], $17::bigint[], $18::smallint[], $19::bigint[], $20::boolean[],
    $21::bigint[], $22::bigint[], $23::bigint[], $24::bigint[])
    AS v (id, tenant_id, trace_id, model, account_ids, month, reserved, create_ms, expire_ms,
      state, posted, late, end_ms, input_tokens, max_output_tokens, price_version)
)
UPDATE transfer t SET state = v.state, posted_nano_usd = v.posted, late = v.late,
  end_unix_ms = v.end_ms
FROM unnest($25::uuid[], $26::smallint[], $27::bigint[], $28::boolean[], $29::bigint[])
  AS v (id, state, posted, late, end_ms)
WHERE t.id = v.id
"""

# Accounts that were never opened get no row. The share lock on the account makes this wait for a
# limit that is being set, or the other way round.
OPEN_MONTH = """
INSERT INTO account_window (account_id, month, limit_nano_usd, ceiling_nano_usd)
SELECT account_id, $2::integer, limit_nano_usd, limit_nano_usd FROM (
  SELECT account_id, limit_nano_usd FROM account WHERE account_id = ANY ($1::text[])
  ORDER BY account_id FOR SHARE
) AS known ON CONFLICT DO NOTHING
"""


def reads(steps: Sequence[Step], month: Month) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The parameters of LOCK_WINDOWS and of READ_TRANSFERS."""
    accounts: set[AccountId] = set()
    for step in steps:
        if type(step) is Reserve:
            accounts.update(step.account_ids)
    ids = plain({step.id for step in steps})
    return (plain(accounts), b"%d" % month, ids), (ids,)


def window(row: Sequence[Any]) -> Window:
    return Window(*row)


def transfer(row: Sequence[Any]) -> Transfer:
    (id_, tenant, trace, model, accounts, month, reserved, create, expire, state, *rest) = row
    (posted, late, end, input_tokens, max_output_tokens, price_version) = rest
    return Transfer(
        TransferId(id_), tenant, trace, model, tuple(accounts), month, reserved, create, expire,
        _STATES[state], posted, late, end, Terms(input_tokens, max_output_tokens, price_version),
    )  # fmt: skip


_STATES = {state.value: state for state in State}


def book(windows: Iterable[Sequence[Any]], transfers: Iterable[Sequence[Any]]) -> Book:
    """The rows that were locked and read, as the ledger works on them."""
    held: dict[WindowKey, Window] = {(row[0], row[1]): Window(*row) for row in windows}
    return Book(held, {TransferId(row[0]): transfer(row) for row in transfers})


def missing(steps: Sequence[Step], held: Book, month: Month) -> set[AccountId]:
    """Accounts of new reservations that have no row in this month yet."""
    return {
        account_id
        for step in steps
        if type(step) is Reserve
        for account_id in step.account_ids
        if (account_id, month) not in held.windows
    }


def writes(changed: Book) -> tuple[bytes, ...]:
    """The parameters of WRITE."""
    sums = changed.changed_windows.values()
    new = changed.new_transfers.values()
    old = changed.changed_transfers.values()
    return (
        plain([w.account_id for w in sums]),
        plain([w.month for w in sums]),
        plain([w.ceiling for w in sums]),
        plain([w.posted for w in sums]),
        plain([w.pending for w in sums]),
        plain([w.quarantined for w in sums]),
        plain([w.overrun for w in sums]),
        plain([w.frozen for w in sums]),
        plain([t.id for t in new]),
        texts([t.tenant_id for t in new]),
        texts([t.trace_id for t in new]),
        texts([t.model for t in new]),
        texts([" ".join(t.account_ids) for t in new]),
        plain([t.month for t in new]),
        plain([t.reserved for t in new]),
        plain([t.create_ms for t in new]),
        plain([t.expire_ms for t in new]),
        plain([int(t.state) for t in new]),
        plain([t.posted for t in new]),
        plain([t.late for t in new]),
        plain([t.end_ms for t in new]),
        plain([t.terms.input_tokens for t in new]),
        plain([t.terms.max_output_tokens for t in new]),
        plain([t.terms.price_version for t in new]),
        plain([t.id for t in old]),
        plain([int(t.state) for t in old]),
        plain([t.posted for t in old]),
        plain([t.late for t in old]),
        plain([t.end_ms for t in old]),
    )


def opens(account_ids: Iterable[AccountId], month: Month) -> tuple[bytes, ...]:
    """The parameters of OPEN_MONTH."""
    return plain(sorted(account_ids)), b"%d" % month
