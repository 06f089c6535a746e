"""One owner of caps, as an operator meets it: every command tells the figure that budget holds."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.live import Key, Live, own_suite, wait_until


def _json(live: Live, *words: str) -> dict:
    done = live.cli(*words, "--json")
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def test_case_M13_every_command_shows_the_cap_that_binds(live: Live) -> None:
    """A cap put on a key or a group afterwards is what list, show and budget say, and calls meet."""
    tenant, key, group = live.tenant(100), live.name("key"), live.name("group")
    assert 0 == live.cli("group", "create", group, "--tenant", tenant).returncode
    made = _json(live, "key", "create", "--tenant", tenant, "--name", key, "--group", group)
    for listing in (("key", "list"), ("group", "list")):
        assert "none of its own" in live.cli(*listing, "--tenant", tenant).stdout
    assert "none" in live.cli("budget", "show", f"key:{key}").stdout
    for kind, name in (("key", key), ("group", group)):
        done = live.cli("budget", "set", f"{kind}:{name}", "--monthly-usd", "2.5")
        assert (0, f"{kind}:{name}: $2.50 a month\n") == (done.returncode, done.stdout)
        for words in ((kind, "list", "--tenant", tenant), ("budget", "show", f"{kind}:{name}")):
            assert "$2.50" in live.cli(*words).stdout
    assert "$2.50" in live.cli("key", "show", key).stdout
    shown = _json(live, "key", "show", key)["account"]
    assert (2_500_000_000, False) == (shown["limit_nano_usd"], shown["no_limit"])
    assert 2_500_000_000 == live.account(f"key:{made['key_id']}").limit_nano_usd
    done = live.cli("budget", "set", f"key:{key}", "--no-limit")
    assert (0, f"key:{key}: no limit\n") == (done.returncode, done.stdout)
    assert _json(live, "key", "show", key)["account"]["no_limit"]
    assert "no limit of its own" in live.cli("budget", "unfreeze", f"key:{key}").stdout


def test_case_M13_a_key_with_a_cap_of_nothing_is_refused_every_call(live: Live) -> None:
    """$0 is a cap like others, and is not taken for none."""
    tenant = live.tenant(100)
    made = _json(
        live, "key", "create", "--tenant", tenant, "--name", "zero", "--monthly-usd", "0"
    )  # fmt: skip
    account = live.account(f"key:{made['key_id']}")
    assert (0, False) == (account.limit_nano_usd, account.no_limit)


def test_a_tenant_without_a_cap_is_there_and_refused(live: Live) -> None:
    """`tenant create` alone opens the account at $0, says what to type, and is in `budget show`."""
    name = live.name("acme")
    done = live.cli("tenant", "create", name)
    assert f"budget set tenant:{name} --monthly-usd" in done.stdout
    (row,) = [line for line in live.cli("budget", "show").stdout.splitlines() if name in line]
    assert row.split()[1] == "$0.00"
    done = live.cli("budget", "set", name, "--no-limit")
    assert (1, True) == (done.returncode, "a tenant always has a limit" in done.stderr)


def test_a_limit_is_said_once(live: Live) -> None:
    """`budget set` with neither an amount nor --no-limit, or with both, changes nothing."""
    tenant = live.tenant(3)
    before = live.account(f"tenant:{tenant}")
    for words in ((), ("--no-limit", "--monthly-usd", "5")):
        done = live.cli("budget", "set", tenant, *words)
        assert (1, True) == (done.returncode, "--no-limit" in done.stderr)
    assert before == live.account(f"tenant:{tenant}")


def test_a_group_that_exists_keeps_its_cap(live: Live) -> None:
    """`group create` again finishes or repeats; another cap is refused with the command for it."""
    tenant, name = live.tenant(100), live.name("group")
    create = ("group", "create", name, "--tenant", tenant)
    assert "none of its own" in live.cli(*create).stdout
    assert "exists" in live.cli(*create).stdout
    again = live.cli(*create, "--monthly-usd", "4")
    assert 1 == again.returncode
    assert "exists, with no cap of its own" in again.stderr
    (listed,) = _json(live, "group", "list", "--tenant", tenant)
    assert f"tollgate budget set group:{listed['group_id']} --monthly-usd" in again.stderr


def test_an_account_that_was_never_opened_is_shown_with_its_remedy(live: Live) -> None:
    """What an interrupted command or an older version left is no key without a cap: it is said."""
    tenant = live.tenant(100)
    key = live.key(tenant, opened=False)
    assert "not open" in live.cli("key", "list", "--tenant", tenant).stdout
    assert None is _json(live, "key", "show", key.key_id)["account"]
    done = live.cli("budget", "show", f"key:{key.key_id}")
    assert (1, True) == (
        done.returncode,
        f"tollgate budget set key:{key.key_id} --monthly-usd 5" in done.stderr,
    )


def test_a_refusal_names_the_account_and_so_does_the_log(live: Live) -> None:
    """Frozen, exhausted, never opened: the client and the auditor read which account it was."""
    tenant = live.tenant(100)
    group = live.group(tenant)
    key, model = live.key(tenant, group_id=group), live.model("demo-gpt")
    assert 200 == live.call(key, model).status_code
    live.settled(f"group:{group}")
    live.set_limit(f"group:{group}", 0)
    frozen = live.call(key, model)
    poor = live.key(tenant, limit_usd=0)
    exhausted = live.call(poor, model)
    early = live.key(tenant, opened=False)
    missing = live.call(early, model)
    wanted = {}
    for answer, code, account in (
        (frozen, "budget_frozen", f"group:{group}"),
        (exhausted, "budget_exhausted", f"key:{poor.key_id}"),
        (missing, "budget_missing", f"key:{early.key_id}"),
    ):
        error = answer.json()["error"]
        assert (402, code, account) == (answer.status_code, error["code"], error["account"])
        assert account in error["message"]
        wanted[answer.headers["x-tollgate-trace-id"]] = account

    def told() -> dict[str, str]:
        leaves = [json.loads(entry.leaf) for entry in live.entries()]
        denied = [leaf for leaf in leaves if leaf["kind"] == "CALL_DENIED"]
        return {leaf["trace_id"]: leaf["payload"].get("account_id", "") for leaf in denied}

    wait_until(lambda: wanted.items() <= told().items(), 10)


def test_a_key_that_is_typed_whole_is_not_printed(live: Live) -> None:
    """`key show SECRET` finds the key by its public part; a mistyped one is told without the rest."""
    key = live.key(live.tenant())
    shown = live.cli("key", "show", key.text)
    assert (0, True) == (shown.returncode, key.key_id in shown.stdout)
    secret = key.text.split("_")[1]
    for words in (("key", "show"), ("budget", "show"), ("key", "revoke")):
        wrong = live.cli(*words, key.text[:-1] + ("a" if key.text[-1] != "a" else "b"))
        assert 1 == wrong.returncode
        for said in (shown, wrong):
            assert secret not in said.stdout + said.stderr


def test_case_M13_a_key_made_while_budget_is_away_is_neither_lost_nor_free(tmp_path: Path) -> None:
    """Its text is printed, with the command that opens its account; until then it is refused."""
    with own_suite(tmp_path / "home") as own:
        tenant, model = own.tenant(), own.model("demo-gpt")
        own.suite.kill("budget")
        try:
            done = own.cli("key", "create", "--tenant", tenant, "--name", "early")
        finally:
            own.suite.start_one("budget")
        (made,) = json.loads(own.cli("key", "list", "--tenant", tenant, "--json").stdout)
        opens = f"budget set key:{made['key_id']} --no-limit"
        killed = _killed_while_budget_is_away(own, tenant)
        assert 1 == done.returncode
        assert "can spend nothing" in done.stderr
        assert opens in done.stderr
        key = Key(made["key_id"], done.stdout.splitlines()[1], tenant)
        wait_until(lambda: own.call(key, model).status_code == 402, 15)
        assert 0 == own.cli(*opens.split()).returncode
        wait_until(lambda: own.call(key, model).status_code == 200, 15)
        assert 402 == own.call(Key("", killed, tenant), model).status_code


def _killed_while_budget_is_away(own: Live, tenant: str) -> str:
    """The key's text that a `key create` printed before it was killed."""
    own.suite.signal("budget", signal.SIGSTOP)
    try:
        words = ("key", "create", "--tenant", tenant, "--name", "killed")
        child = subprocess.Popen(
            [sys.executable, "-m", "tollgate_cli.main", *words],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TOLLGATE_HOME": str(own.suite.home.root)},
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(2)]
        child.kill()
        child.wait(10)
        child.stdout.close()
    finally:
        own.suite.signal("budget", signal.SIGCONT)
    return lines[1].strip()
