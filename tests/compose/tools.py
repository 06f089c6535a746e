"""Docker without a registry of images: a daemon of our own, compose from its module, a base image.

Everything comes from the package registries of this machine's own settings. What takes minutes is
built once, into a cache folder named by what it is built from. Never: touches another daemon.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

PACKAGES = {"dockerd": "docker.io", "iptables": "iptables", "mmdebstrap": "mmdebstrap"}
DEBIAN = "bookworm"
BASE_TAG = f"python:3.13-slim-{DEBIAN}"
BASE_PACKAGES = (
    "ca-certificates,libssl3,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5,libreadline8,"
    "libncursesw6,libuuid1,libexpat1"
)
COMPOSE_MODULE = """module compose
go 1.24.9
require github.com/docker/compose/v2 v2.40.3
exclude (
\tgithub.com/davecgh/go-spew v1.1.2-0.20180830191138-d8f796af33cc
\tgithub.com/pmezard/go-difflib v1.0.1-0.20181226105442-5d4384ee4fb2
)
"""
_UP_TIMEOUT_S = 30.0


class CannotRun(Exception):  # noqa: N818 (the machine's lack, not a fault of the suite)
    """This machine lacks what a real compose run needs; the text says what."""


def run(
    *argv: str | Path, quiet: bool = True, timeout_s: float = 600.0, cwd: Path | None = None,
    stdin: str = "", check: bool = True,
) -> str:  # fmt: skip
    """Runs a program and returns what it printed; what it complained is shown if it fails."""
    done = subprocess.run(
        [str(part) for part in argv], cwd=cwd, input=stdin, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None, timeout=timeout_s,
    )  # fmt: skip
    if check and done.returncode != 0:
        said = "\n".join((done.stdout + (done.stderr or "")).splitlines()[-30:])
        raise subprocess.SubprocessError(
            f"{' '.join(map(str, argv[:6]))} …: exit {done.returncode}\n{said}"
        )
    return done.stdout


def say(text: str) -> None:
    print(f"[{time.monotonic() - _BEGAN:6.1f} s] {text}", flush=True)


_BEGAN = time.monotonic()


def install() -> None:
    """Debian's docker, iptables and mmdebstrap. Raises CannotRun."""
    if os.geteuid() != 0:
        raise CannotRun("only root may start a container daemon")
    if shutil.which("apt-get") is None:
        raise CannotRun("this is no Debian: apt-get is needed for docker.io and mmdebstrap")
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if missing:
        say(f"installing {', '.join(missing)}")
        apt = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)
        try:
            run("apt-get", "update", "-qq")
            run(*apt)
        except subprocess.SubprocessError as error:
            raise CannotRun(f"apt-get could not install {missing}: {error}") from error


def cached(cache: Path, name: str, *made_from: str) -> Path:
    """Where something that was built from these texts is, or will be."""
    mark = hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:12]
    cache.mkdir(parents=True, exist_ok=True)
    return cache / f"{name}-{mark}"


def compose_program(cache: Path) -> Path:
    """The docker compose program: $COMPOSE_BIN, or built from its Go module. Raises CannotRun."""
    if given := os.environ.get("COMPOSE_BIN"):
        return Path(given)
    program = cached(cache, "docker-compose", COMPOSE_MODULE)
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        raise CannotRun("compose is built with Go, which is not here (COMPOSE_BIN names a program)")
    say("building compose (some minutes, once)")
    place = program.with_suffix(".build")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / "go.mod").write_text(COMPOSE_MODULE)
    package = "github.com/docker/compose/v2/cmd"
    fresh = program.with_suffix(".new")
    for argv in (
        (go, "mod", "download", "github.com/docker/compose/v2"),
        (go, "build", "-mod=mod", "-trimpath", "-ldflags", "-s -w", "-o", fresh, package),
    ):
        run(*argv, cwd=place, timeout_s=1800)
    fresh.rename(program)
    shutil.rmtree(place)
    return program


def python_313() -> Path:
    """A folder with a CPython 3.13: $PYTHON313, or what pyenv has. Raises CannotRun."""
    if given := os.environ.get("PYTHON313"):
        return Path(given)
    found = sorted(Path.home().glob(".pyenv/versions/3.13.*"))
    if not found:
        raise CannotRun("PYTHON313 must name the folder of a CPython 3.13 (bin, lib, include)")
    return found[-1]


def base_image(cache: Path) -> Path:
    """A tar of Debian with CPython 3.13 in /usr/local: what the Dockerfile's FROM names."""
    python = python_313()
    tar = cached(cache, "base", BASE_PACKAGES, str(python)).with_suffix(".tar")
    if tar.exists():
        return tar
    say("making the base image")
    root = tar.with_suffix(".root")
    shutil.rmtree(root, ignore_errors=True)
    run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={BASE_PACKAGES}", DEBIAN, root)
    for part in ("bin", "lib", "include"):
        shutil.copytree(python / part, root / "usr/local" / part, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(root / "usr/local/lib/python3.13/test", ignore_errors=True)
    for script in (root / "usr/local/bin").iterdir():
        if script.is_file() and not script.is_symlink() and script.read_bytes()[:2] == b"#!":
            text = script.read_text()
            script.write_text(text.replace(f"#!{python}/bin/", "#!/usr/local/bin/", 1))
    for name in ("python", "python3"):
        link = root / "usr/local/bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to("python3.13")
    # The machine's own authorities: a proxy that terminates TLS is trusted in a build, too.
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
    fresh = tar.with_suffix(".new")
    run("tar", "-C", root, "--exclude=./dev/*", "--exclude=./var/cache/apt/*", "-cf", fresh, ".")
    fresh.rename(tar)
    shutil.rmtree(root)
    return tar


class Daemon:
    """A dockerd of our own: its data, socket and process id are below `place`."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        socket = f"unix://{self._place}/d.sock"
        os.environ.update(DOCKER_HOST=socket, DOCKER_BUILDKIT="0")
        with (self._place / "dockerd.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["dockerd", "--data-root", self._place / "data", "--exec-root",
                 self._place / "exec", "-p", self._place / "d.pid", "-H", socket,
                 "--iptables=false", "--ip-forward=false", "--bridge=none"],
                stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + _UP_TIMEOUT_S
        while subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self._place / "dockerd.log").read_text().splitlines()[-3:]
                self.__exit__()
                raise CannotRun("dockerd does not run here: " + " / ".join(said))
            time.sleep(0.2)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        # What it leaves mounted (a network namespace, at least) would keep the folder from going.
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([at for at in mounts if Path(at).is_relative_to(self._place)]):
            run("umount", mount, check=False)


def build(tag: str, context: Path, *options: Sequence[str] | str) -> None:
    """One image. Its build reaches the package registries over this machine's network."""
    run("docker", "build", "-q", "--network", "host", "-t", tag, *map(str, options), context)


def fail(why: str) -> int:
    print(f"compose-test: NOT RUN: {why}", file=sys.stderr)
    return 77
