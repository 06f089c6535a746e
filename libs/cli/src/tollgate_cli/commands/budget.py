"""`tollgate budget`: limits, what is spent and reserved, and what is quarantined."""

import shlex
from typing import Annotated, Any

import typer

from tollgate.authz.v1 import authz_pb2
from tollgate.budget.v1 import budget_pb2
from tollgate_cli.commands import directory, present, session
from tollgate_cli.commands.session import AsJson, ConfigFile, MonthlyUsd
from tollgate_cli.fault import Fault
from tollgate_cli.money import format_usd
from tollgate_cli.operator_client import Operator
from tollgate_operations import accounts
from tollgate_operations.request_ids import new_request_id

budgets = typer.Typer(help="Dollar caps and the ledger.", no_args_is_help=True)

Account = Annotated[
    str, typer.Argument(help="A tenant's name, tenant:NAME, group:NAME or key:NAME.")
]
_AMOUNTS = ("posted", "pending", "quarantined", "overrun")


@budgets.command("show")
def budget_show(
    account: Annotated[str, typer.Argument(help="As for set; default: every tenant's.")] = "",
    transfers: Annotated[int, typer.Option(min=0, max=1000, help="Show the newest N.")] = 0,
    quarantined: Annotated[
        bool, typer.Option(help="Only transfers whose end is not known.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show accounts in this month: posted + pending never exceeds the limit."""

    async def work(operator: Operator) -> Any:
        if account:
            named = [(await directory.account_id(operator, account), account)]
        else:
            named = await _tenant_accounts(operator)
        opened = await _opened(operator, named, all_of_them=bool(account))
        found = []
        for identifier, name in named:
            item = opened.get(identifier)
            moved = []
            if item is not None and (transfers or quarantined):
                moved = await _transfers(
                    operator, identifier, transfers or 100, only_quarantined=quarantined
                )
            found.append((identifier, name, item, moved))
        return found

    found = session.run(config, work)
    if as_json:
        shown = [
            {
                "account_id": identifier,
                "name": name,
                "opened": item is not None,
                **(present.plain(item) if item is not None else {}),
                "transfers": [present.plain(each) for each in moved],
            }
            for identifier, name, item, moved in found
        ]
        present.print_json(shown[0] if account else shown)
        return
    present.print_table([_row(name, item) for _, name, item, _ in found], empty="no accounts")
    if transfers or quarantined:
        print()
        rows = [_transfer_row(each) for *_, moved in found for each in moved]
        present.print_table(rows, empty="no such transfers")


@budgets.command("set")
def budget_set(
    account: Account,
    monthly_usd: MonthlyUsd = None,
    no_limit: Annotated[
        bool, typer.Option("--no-limit", help="A key or a group: only its tenant's cap binds.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Open an account or change its monthly limit. Below what is in use it freezes the account."""
    limit = session.nano_usd(monthly_usd)
    if (limit is None) is not no_limit:
        raise Fault("say one limit", "either --monthly-usd 5 or --no-limit")

    async def work(operator: Operator) -> Any:
        identifier = await directory.account_id(operator, account)
        return await accounts.set_limit(operator, identifier, limit, new_request_id())

    changed = session.run(config, work)
    if as_json:
        present.print_json(present.plain(changed))
        return
    print(f"{account}: {'no limit' if no_limit else present.limit(changed) + ' a month'}")
    if changed.frozen:
        print("it is frozen: more than that is posted or reserved already; a higher limit ends it")


@budgets.command("unfreeze")
def budget_unfreeze(account: Account, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Say whether an account is frozen (exit code 1), why, and what ends it; change nothing."""

    async def work(operator: Operator) -> Any:
        identifier = await directory.account_id(operator, account)
        return (await _opened(operator, [(identifier, account)]))[identifier]

    found = session.run(config, work)
    if as_json:
        present.print_json(present.plain(found))
        raise typer.Exit(int(found.frozen))
    used, limit = found.posted_nano_usd + found.pending_nano_usd, present.limit(found)
    if found.frozen:
        raise Fault(
            f"{account} is frozen: {format_usd(used)} are spent or reserved this month, "
            f"its limit is {limit}",
            f"a higher limit ends it: tollgate budget set {account} --monthly-usd AMOUNT\n"
            f"  so do calls in flight that give back what they do not use, what timed out and is "
            f"resolved\n  (tollgate budget show {account} --quarantined), and the next month",
        )
    if accounts.limit_of(found) is None:
        print(f"{account} is not frozen: it has no limit of its own")
        return
    print(f"{account} is not frozen: {format_usd(found.limit_nano_usd - used)} of {limit} are left")


@budgets.command("resolve")
def budget_resolve(
    reservation_id: str,
    usd: Annotated[str, typer.Option("--usd", help="The true cost; 0 releases it.")],
    reason: Annotated[str, typer.Option("--reason", help="Recorded in the log.")],
    above_reserve: Annotated[
        bool,
        typer.Option(
            "--above-reserve", help="Meant: more than was reserved. It may freeze the account."
        ),
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Post the true cost of a reservation whose end is not known."""
    amount = session.nano_usd(usd) or 0

    async def work(operator: Operator) -> Any:
        request = budget_pb2.ResolveQuarantineRequest(
            request_id=new_request_id(),
            reservation_id=reservation_id,
            amount_nano_usd=amount,
            reason=reason,
            above_reserve=above_reserve,
        )
        return (await operator.call(operator.budget.ResolveQuarantine, request)).transfer

    transfer = session.run(config, work)
    if as_json:
        present.print_json(present.plain(transfer))
    else:
        print(f"{reservation_id}: {format_usd(transfer.posted_nano_usd)} posted")


async def _tenant_accounts(operator: Operator) -> list[tuple[str, str]]:
    """(account, name) of every tenant: a name may look like another kind of account."""
    answer = await operator.call(operator.authz.ListTenants, authz_pb2.ListTenantsRequest())
    return [(f"tenant:{item.tenant_id}", item.name) for item in answer.tenants]


async def _opened(
    operator: Operator, named: list[tuple[str, str]], *, all_of_them: bool = True
) -> dict[str, Any]:
    """The accounts that are open, by id. Raises Fault for one that must be and is not."""
    opened = await accounts.accounts(operator, [identifier for identifier, _ in named])
    for identifier, name in named if all_of_them else ():
        if identifier not in opened:
            raise Fault(
                f"{name} has no account, so every call on it is refused",
                f"open it: tollgate budget set {shlex.quote(name)} --monthly-usd 5",
            )
    return opened


async def _transfers(
    operator: Operator, identifier: str, count: int, *, only_quarantined: bool
) -> list[Any]:
    state = (
        budget_pb2.TRANSFER_STATE_QUARANTINED
        if only_quarantined
        else budget_pb2.TRANSFER_STATE_UNSPECIFIED
    )
    request = budget_pb2.ListTransfersRequest(account_id=identifier, page_size=count, state=state)
    return list((await operator.call(operator.budget_read.ListTransfers, request)).transfers)


def _row(name: str, account: Any | None) -> dict[str, object]:
    if account is None:
        nothing = dict.fromkeys(("limit", *_AMOUNTS, "left"), "-")
        return {"account": name, **nothing, "state": "not open: every call is refused"}
    shown = present.plain(account)
    amounts = {word: format_usd(shown[f"{word}_nano_usd"]) for word in _AMOUNTS}
    limit = accounts.limit_of(account)
    used = account.posted_nano_usd + account.pending_nano_usd
    return {
        "account": name,
        "limit": "none" if limit is None else format_usd(limit),
        **amounts,
        "left": "any" if limit is None else format_usd(limit - used),
        "state": "frozen" if account.frozen else "open",
    }


def _transfer_row(transfer: Any) -> dict[str, object]:
    shown = present.plain(transfer)
    return {
        "reservation": shown["reservation_id"],
        "state": shown["state"],
        "reserved": format_usd(shown["reserved_nano_usd"]),
        "posted": format_usd(shown["posted_nano_usd"]),
        "time": shown["create_time"],
        "trace": shown["trace_id"],
    }
