"""`tollgate audit`: verify the log offline, and read it."""

import asyncio
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from tollgate.audit.v1 import audit_pb2
from tollgate_cli import hint
from tollgate_cli.commands import session
from tollgate_cli.commands.session import AsJson, ConfigFile
from tollgate_cli.fault import Fault
from tollgate_cli.operator_client import Operator
from tollgate_tlog import checkpoint as log_checkpoint
from tollgate_tlog import fsck, note

audits = typer.Typer(help="The tamper-evident log.", no_args_is_help=True)

_PAGE = 1000
_POLL_S = 1.0
# Publishing takes its turn every second.
_PUBLISH_S = 5.0
_PUBLISH_POLL_S = 0.2


@audits.command("verify")
def audit_verify(
    directory: Annotated[Path | None, typer.Argument(help="Default: this suite's.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="The log's public key, or a file of it.")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="JSON list of transfers, to compare with.")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint that you kept: the log must extend it. Repeatable."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A call that never finished is a fault.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Check every hash, signature, sequence and call of the published log, offline.

    Exit code 0: the evidence holds; 1: it is broken, or what this suite has accepted is not all
    published. Runs the auditors' own verifier, `tollgate-verify`, which is the same check without
    this program.
    """
    unpublished = 0
    if directory is None or key is None:
        evidence = session.configuration(config).evidence
        if evidence is None:
            raise Fault("this configuration names no log", "give the directory and --key")
        unpublished = _unpublished(config) if directory is None else 0
        directory, key = directory or evidence.directory, key or str(evidence.verifier_key)
    arguments = [str(directory), "--key", key]
    arguments += ["--ledger", str(ledger)] if ledger else []
    for kept in checkpoint or ():
        arguments += ["--checkpoint", str(kept)]
    arguments += ["--strict"] if strict else []
    arguments += ["--json"] if as_json else []
    code = fsck.main(arguments)
    if unpublished:
        print(
            f"tollgate: {unpublished} entries are accepted and not published, and so not checked: "
            + hint.typed("see `tollgate logs audit`"),
            file=sys.stderr,
        )
    raise typer.Exit(max(code, 1) if unpublished else code)


def _unpublished(config: Path | None) -> int:
    """Count what audit had accepted by now and has not published within a few seconds."""
    try:
        return session.run(config, _late)
    except Fault as fault:
        print(
            f"tollgate: only what is published is checked, audit cannot be asked: {fault}",
            file=sys.stderr,
        )
        return 0


async def _late(operator: Operator) -> int:
    answer = await _checkpoint(operator)
    accepted: int = published_size(answer.signed_note) + answer.unpublished
    until = time.monotonic() + _PUBLISH_S
    while published_size(answer.signed_note) < accepted and time.monotonic() < until:
        await asyncio.sleep(_PUBLISH_POLL_S)
        answer = await _checkpoint(operator)
    return max(0, accepted - published_size(answer.signed_note))


@audits.command("checkpoint")
def audit_checkpoint(
    save: Annotated[
        Path | None, typer.Option("--save", help="Write it to this file, which must not exist.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show the newest signed checkpoint, for an auditor to keep.

    Whoever keeps one can prove later that nothing before it was taken away or changed:
    `tollgate audit verify --checkpoint FILE`. Keep it where the log's operator cannot reach it.
    """
    answer = session.run(config, _checkpoint)
    text = answer.signed_note.decode("utf-8")
    if save is not None:
        try:
            with save.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise Fault(
                f"{save} cannot be written: {error.strerror}", "name another file"
            ) from error
    head = log_checkpoint.parse(note.parse(answer.signed_note).text)
    if as_json:
        shown = {"origin": head.origin, "size": head.size, "root": head.root.hex(), "note": text}
        print(json.dumps(shown, ensure_ascii=False))
    elif save is not None:
        print(f"saved: {head.origin} with {head.size} entries, in {save}")
    else:
        print(text, end="")


async def _checkpoint(operator: Operator) -> Any:
    return await operator.call(operator.audit_read.GetCheckpoint, audit_pb2.GetCheckpointRequest())


@audits.command("tail")
def audit_tail(
    count: Annotated[int, typer.Option("-n", "--lines", min=1, max=_PAGE)] = 20,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Wait for more.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show the newest entries."""
    entries, next_index = session.run(config, lambda operator: _newest(operator, count))
    _print(entries, as_json=as_json)
    while follow:
        time.sleep(_POLL_S)
        entries, next_index = session.run(config, partial(_page, start=next_index))
        _print(entries, as_json=as_json)


async def _newest(operator: Operator, count: int) -> tuple[list[Any], int]:
    # The log's size is the index that follows an empty page past its end.
    answer = await _checkpoint(operator)
    size = published_size(answer.signed_note) + answer.unpublished
    entries: list[Any] = []
    next_index = max(0, size - count)
    while True:
        page, after = await _page(operator, next_index)
        entries = (entries + page)[-count:]
        if after == next_index or not page:
            return entries, after
        next_index = after


def published_size(signed_note: bytes) -> int:
    """The tree size of a checkpoint (its second line); 0 before the first one."""
    lines = signed_note.decode("utf-8", "replace").splitlines()
    return int(lines[1]) if len(lines) > 1 and lines[1].isdecimal() else 0


async def _page(operator: Operator, start: int) -> tuple[list[Any], int]:
    request = audit_pb2.ListEntriesRequest(start_index=start, page_size=_PAGE)
    answer = await operator.call(operator.audit_read.ListEntries, request)
    return list(answer.entries), answer.next_index


def _print(entries: list[Any], *, as_json: bool) -> None:
    for entry in entries:
        leaf = json.loads(entry.leaf)
        if as_json:
            print(json.dumps({"index": entry.index, **leaf}, ensure_ascii=False))
            continue
        print(f"{entry.index:>8}  {leaf.get('kind', '?'):<18} {_summary(leaf)}")


def _summary(leaf: dict[str, Any]) -> str:
    names = ("tenant_id", "trace_id")
    head = [f"{name}={leaf[name]}" for name in names if leaf.get(name)]
    payload = leaf.get("payload")
    return " ".join([*head, json.dumps(payload, ensure_ascii=False) if payload else ""]).rstrip()
