"""tollgate-verify: checks a published log offline and says in words and exit code what it found.

Exit codes: 0 the evidence holds, 1 it is broken, 2 the command was wrong. Promises: reads only;
needs nothing but Python. What to trust is the caller's: the verifier key.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn, TextIO

from tollgate_tlog import checkpoint, ed25519, note
from tollgate_tlog.checkpoint import Checkpoint
from tollgate_tlog.entry_check import EntryCheck
from tollgate_tlog.findings import Found, Report
from tollgate_tlog.ledger_check import LedgerCheck, LedgerError, Transfer
from tollgate_tlog.ledger_check import read as read_ledger
from tollgate_tlog.log_check import LogCheck

_NANO_PER_USD = 1_000_000_000


class _Usage(Exception):  # noqa: N818 - not an error of this program but of the command line
    pass


def check(
    directory: Path,
    keys: Sequence[note.VerifierKey],
    *,
    now_unix_ms: int,
    ledger: Sequence[Transfer] | None = None,
    strict: bool = False,
    kept: Sequence[tuple[str, Checkpoint]] = (),
) -> Report:
    """Everything that can be checked about the log in ``directory``.

    ``keys``: what signs now, then what signed before. ``kept``: checkpoints from elsewhere that
    the log must extend, each with where it is from.
    """
    report = Report()
    ledger_check = LedgerCheck()
    entries = EntryCheck(report, charged=ledger_check.charged, resolved=ledger_check.resolved)
    for index, leaf in LogCheck(directory, keys, ed25519.verify, report, kept).entries():
        entries.see(index, leaf)
    entries.finish(now_unix_ms)
    if ledger is not None:
        ledger_check.compare(list(ledger), report)
    if strict:
        report.make_faults("admitted_without_finished")
    return report


def main(
    arguments: Sequence[str] | None = None,
    *,
    out: TextIO | None = None,
    now_ns: Callable[[], int] = time.time_ns,
) -> int:
    """Run the command; the exit code."""
    out = out or sys.stdout
    try:
        options = _parser().parse_args(arguments)
        keys = [key for text in options.key for key in _keys(text)]
        kept = [_kept(path, keys) for path in options.checkpoint]
        ledger = None if options.ledger is None else read_ledger(options.ledger)
    except (_Usage, LedgerError) as error:
        print(f"tollgate-verify: {error}", file=sys.stderr)  # noqa: T201 - a command prints
        return 2
    report = check(
        options.directory,
        keys,
        now_unix_ms=now_ns() // 1_000_000,
        ledger=ledger,
        strict=options.strict,
        kept=kept,
    )
    out.write(_as_json(report) if options.json else _as_text(options.directory, report))
    return 1 if report.faults.total else 0


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        raise _Usage(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tollgate-verify",
        description="Verify a Tollgate log offline: hashes, signatures, sequences, calls, money.",
        epilog="Exit code 0: the evidence holds. 1: it is broken. 2: the command was wrong.",
    )
    parser.add_argument("directory", type=_directory, help="where the log is published")
    parser.add_argument(
        "--key",
        required=True,
        action="append",
        help="verifier key (name+id+key), or a file with one a line; repeat after a key change: "
        "what signs now first, then what signed before",
    )
    parser.add_argument(
        "--ledger", type=Path, help="JSON list of posted transfers to compare with the log"
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a checkpoint that you kept: the log must be an extension of it; repeatable",
    )
    parser.add_argument(
        "--strict", action="store_true", help="a call admitted but never finished is a fault"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _directory(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a directory")
    return Path(text)


def _kept(path: Path, keys: Sequence[note.VerifierKey]) -> tuple[str, Checkpoint]:
    """A checkpoint that the caller kept, signed by a given key."""
    try:
        head, _ = checkpoint.open_checkpoint(path.read_bytes(), keys, ed25519.verify)
    except (OSError, checkpoint.CheckpointError) as error:
        raise _Usage(f"--checkpoint {path}: {error}") from None
    return str(path), head


def _keys(text: str) -> list[note.VerifierKey]:
    """A key given as such, or the keys in a file, one a line."""
    try:
        return [note.parse_key(text)]
    except note.NoteError as error:
        if not Path(text).is_file():
            raise _Usage(f"--key is no file and no verifier key: {error}") from None
    lines = Path(text).read_text(encoding="utf-8").split("\n")
    try:
        keys = [note.parse_key(line.strip()) for line in lines if line.strip()]
    except note.NoteError as error:
        raise _Usage(f"{text}: {error}") from None
    if not keys:
        raise _Usage(f"{text}: there is no key in it")
    return keys


def _as_json(report: Report) -> str:
    body = {
        "ok": not report.faults.total,
        "facts": report.facts,
        "charged_nano_usd": report.charged_nano_usd,
        "faults": _found(report.faults),
        "observations": _found(report.observations),
    }
    return json.dumps(body, indent=2, sort_keys=True) + "\n"


def _found(found: Found) -> dict[str, object]:
    return {
        "total": found.total,
        "by_kind": dict(found.counts),
        "first": [asdict(item) for item in found.kept],
    }


def _as_text(directory: Path, report: Report) -> str:
    lines = [f"{'log':<18} {directory}"]
    lines += [f"{name.replace('_', ' '):<18} {value}" for name, value in report.facts.items()]
    for account, amount in sorted(report.charged_nano_usd.items()):
        lines.append(f"{'charged':<18} {account}  {usd(amount)} USD")
    for title, found in (("FAULT", report.faults), ("note", report.observations)):
        lines += [f"{title}  {item.kind}  {item.where}: {item.message}" for item in found.kept]
        hidden = found.total - len(found.kept)
        if hidden:
            lines.append(f"{title}  … and {hidden} more")
    faults, notes = report.faults.total, report.observations.total
    verdict = f"BROKEN: {faults} faults" if faults else "OK: the evidence holds"
    lines.append(f"{verdict}" + (f", {notes} notes" if notes else ""))
    return "\n".join(lines) + "\n"


def usd(amount_nano_usd: int) -> str:
    """Exact decimal dollars: money never passes through a float."""
    sign = "-" if amount_nano_usd < 0 else ""
    whole, part = divmod(abs(amount_nano_usd), _NANO_PER_USD)
    return f"{sign}{whole}.{part:09d}"


if __name__ == "__main__":
    sys.exit(main())
