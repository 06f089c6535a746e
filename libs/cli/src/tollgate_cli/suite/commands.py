"""`tollgate up`, `down`, `status` and `logs`: the embedded suite."""

import contextlib
import dataclasses
import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tollgate_cli import hint, state_file
from tollgate_cli.chosen_keyring import FILE, VAULT
from tollgate_cli.commands import present
from tollgate_cli.commands.session import AsJson
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home
from tollgate_cli.suite import log_view
from tollgate_cli.suite import status as suite_status
from tollgate_cli.suite.processes import leftovers, lock, ports, process
from tollgate_cli.suite.processes.child import tail
from tollgate_kit.secret import Secret

_START_TIMEOUT_S = 180.0
_STOP_TIMEOUT_S = 90.0
_POLL_S = 0.1
_EDGES_MAX = 16


def up(
    *,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="With --detach: until it serves.")] = False,
    edges: Annotated[int, typer.Option(min=1, max=_EDGES_MAX, help="Edge api processes.")] = 1,
    api_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Just this port, or fail.")
    ] = None,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="No demo provider and key.")] = False,
    keyring: Annotated[
        str | None, typer.Option(help="file or vault; default: what the home was made with.")
    ] = None,
    vault_addr: Annotated[
        str | None, typer.Option(help="Default: as last time, else $VAULT_ADDR.")
    ] = None,
    vault_ca: Annotated[
        Path | None, typer.Option(help="Default: as last time, else $VAULT_CACERT.")
    ] = None,
    vault_token_file: Annotated[
        Path | None, typer.Option(help="An operator's, used at the start; default: $VAULT_TOKEN.")
    ] = None,
    vault_mount: Annotated[
        str | None, typer.Option(help="Where its transit engine is; default: transit.")
    ] = None,
    detached: Annotated[bool, typer.Option("--detached", hidden=True)] = False,
) -> None:
    """Start the whole suite on this machine. Ctrl-C stops it and leaves nothing behind."""
    home = Home.from_environment()
    if wait and not detach:
        raise Fault("--wait goes with --detach", "without it the suite stays in the foreground")
    if (pid := lock.holder(home.lock)) is not None:
        raise lock.already_running(home.lock, pid)
    # Imported here: the drivers of engines and of Vault take half a second, which no other command
    # needs.
    from tollgate_cli.suite import supervisor, vault_logins
    from tollgate_cli.suite.suite import Options

    if keyring not in {None, FILE, VAULT}:
        raise Fault(f"there is no keyring {keyring!r}", f"one of: {FILE}, {VAULT}")
    # As _detach hands it over: in no file, no argument and no environment.
    token = Secret(sys.stdin.readline().strip()) if detached and keyring == VAULT else None
    vault = vault_logins.asked(
        home,
        vault_logins.Asked(keyring, vault_addr, vault_ca, vault_token_file, vault_mount, token),
    )
    # No process of the suite is to find an operator's token in its environment.
    os.environ.pop("VAULT_TOKEN", None)
    if not detach:
        options = Options(edges, not no_demo, api_port, usual_ports=True, vault=vault)
        raise typer.Exit(supervisor.foreground(home, options, quiet=detached))
    arguments = ["--detached", "--edges", str(edges)]
    arguments += ["--api-port", str(api_port)] if api_port else []
    arguments += ["--no-demo"] if no_demo else []
    if vault is not None:
        at = vault.chosen
        arguments += ["--keyring", VAULT, "--vault-addr", at.address, "--vault-ca", at.ca_file]
        arguments += ["--vault-mount", at.mount]
    handed = vault.token.reveal() if vault else ""
    _detach(home, arguments, handed=handed, api_port=api_port, wait=wait)


def _detach(
    home: Home, arguments: list[str], *, handed: str, api_port: int | None, wait: bool
) -> None:
    """`handed` is what only the suite's process is to read: a line, and no argument of it."""
    if api_port:
        # The suite says so too, but into its log.
        ports.check_free(api_port)
    home.make()
    # A spoilt description of an earlier run must not look like this one's.
    state_file.discard(home.dev_json)
    log = home.log("suite")
    environment = {**os.environ, "TOLLGATE_HOME": str(home.root)}
    with log.open("wb") as output:
        supervising = subprocess.Popen(
            [sys.executable, "-m", "tollgate_cli.main", "up", *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )
    assert supervising.stdin is not None
    with contextlib.suppress(BrokenPipeError), supervising.stdin as pipe:
        pipe.write(f"{handed}\n".encode())
    if not wait:
        print(f"tollgate: starting (pid {supervising.pid})")
        print(hint.typed("  `tollgate status` shows it, `tollgate down` stops it"))
        print(f"  its log: {log}; the demo key, once it serves: {home.secrets / 'demo-key'}")
        return
    from tollgate_cli.suite import greeting

    follower = log_view.Follower([("suite", log)], from_start=True)
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        ended = supervising.poll() is not None
        says = suite_status.described(home)
        serving = not says.problem and says.document.get("supervisor_pid") == supervising.pid
        for _, line in follower.lines():
            print(hint.typed(line), flush=True)
        if serving:
            print(greeting.text(says.document, home.root, command=hint.command(), detached=True))
            return
        if ended:
            raise typer.Exit(1)
        time.sleep(_POLL_S)
    raise Fault("the suite did not start in time", f"its log: {log}")


def down() -> None:
    """Stop the suite that runs in this home."""
    home = Home.from_environment()
    pid = lock.holder(home.lock)
    if pid is None:
        if home.run.is_dir():
            # What a killed suite left, processes or notes of them, goes with this, too.
            with lock.SuiteLock(home.lock):
                leftovers.end(home.run, lambda text: print(f"tollgate: {text}"))
        print("tollgate: no suite is running")
        return
    if pid == lock.UNKNOWN:
        holders = " ".join(map(str, process.having_open(home.lock.resolve())))
        raise Fault(
            f"a suite runs here, but {home.lock} does not say which process it is",
            f"if it is not just starting, `kill {holders or 'PID'}` ends what holds the file",
        )
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while lock.holder(home.lock) is not None:
        if time.monotonic() > deadline:
            raise Fault(f"the suite (pid {pid}) does not stop", f"`kill -9 {pid}` ends it at once")
        time.sleep(_POLL_S)
    print("tollgate: stopped")


def status(as_json: AsJson = False) -> None:
    """Show what runs, and how it is. Exit code 3 if nothing does, 1 if something does not serve."""
    from tollgate_cli.suite import keyring_status

    home = Home.from_environment()
    found = suite_status.look(home)
    says = found.described
    keyring = keyring_status.look(home, {n: p["metrics"] for n, p in found.processes.items()})
    if as_json:
        urls = {name: says.text(name) for name in ("api_url", "provider_url")}
        shown = {"state": found.state, "pid": found.pid, "home": str(found.home)}
        shown["version"] = says.text("version") or suite_status.version()
        shown["failed_log"] = str(found.failed_log) if found.failed_log else None
        about = {"keyring": dataclasses.asdict(keyring), "services": found.processes}
        present.print_json({**shown, **urls, **about})
    else:
        print(
            f"tollgate: {found.state}, home {found.home}" + (f", pid {found.pid}" * bool(found.pid))
        )
        print(f"version: {says.text('version') or suite_status.version()}")
        if found.failed_log:
            print(f"the last suite in the background failed; its log: {found.failed_log}")
        if keyring.kind == VAULT:
            print(f"keyring: Vault at {keyring.address}, {keyring.state}")
        if keyring.moving:
            told = f"a move of the keys from {keyring.kind} to {keyring.moving} has not ended"
            print(hint.typed(f"{told}, and no suite starts before: `{keyring.go_on}` goes on"))
        if found.processes:
            print(f"API: {says.text('api_url')}")
            rows = [_row(*entry, keyring.tokens) for entry in found.processes.items()]
            present.print_table(rows, empty="")
        for remedy in keyring.remedies:
            print(hint.typed(f"a token at Vault ends soon, or has ended: `{remedy}`"))
    if found.state in {"stopped", "failing"}:
        raise typer.Exit(3 if found.state == "stopped" else 1)


def _row(name: str, entry: dict[str, Any], tokens: Mapping[str, int]) -> dict[str, object]:
    up_s = entry["uptime_seconds"]
    uptime = "-" if up_s is None else str(dt.timedelta(seconds=up_s))
    shown = {"process": name, "health": entry["health"], "address": entry["address"]}
    shown |= {"metrics": entry["metrics"] or "-", "uptime": uptime, "pid": entry["pid"]}
    if not tokens:
        return shown
    left = tokens.get(name)
    return {**shown, "token": "-" if left is None else str(dt.timedelta(seconds=left))}


def logs(
    service: Annotated[str, typer.Argument(help="One process; default: all.")] = "",
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Wait for more.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="Of each process.")] = 50,
) -> None:
    """Show the logs of the processes."""
    home = Home.from_environment()
    known = {path.stem: path for path in sorted(home.logs.glob("*.log")) if path.is_file()}
    if not known:
        raise Fault(f"there are no logs in {home.logs} yet", "`tollgate up` starts a suite")
    if service and service not in known:
        raise Fault(f"there is no log of {service!r}", f"one of: {', '.join(known)}")
    chosen = {service: known[service]} if service else known
    screen = log_view.Screen(list(chosen))
    follower = log_view.Follower(chosen.items(), from_start=False)
    for name, path in chosen.items():
        for line in tail(path, lines):
            screen.show(name, line)
    while follow:
        for name, line in follower.lines():
            screen.show(name, line)
        time.sleep(_POLL_S)
