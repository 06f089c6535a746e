"""The operator's commands against a running suite, as a person types them."""

import json
import sys
from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from tests import google
from tests.live import Live, wait_until
from tollgate.budget.v1 import budget_pb2, budget_pb2_grpc
from tollgate_kit.clock import SystemClock
from tollgate_kit.ids import Ids


def test_case_B5_a_provider_without_a_price_says_so(live: Live) -> None:
    """`provider add` of an unpriced model warns with the command that helps; so do list and show."""
    name, model = live.name("provider"), live.name("m")
    add = ("provider", "add", name, "--base-url", f"{live.suite.provider_url}/v1", "--model", model)
    done = live.cli(*add, stdin=live.provider_key)
    assert 0 == done.returncode, done.stderr
    assert f"{model} has no price" in done.stderr
    assert f"tollgate price set {model} --input" in done.stderr
    for command in (("list",), ("show", name)):
        assert f"{model} (NO PRICE)" in live.cli("provider", *command).stdout
    shown = json.loads(live.cli("provider", "show", name, "--json").stdout)
    assert [model] == shown["unpriced_models"]

    priced = live.cli("price", "set", model, "--input", "1", "--output", "2")
    assert (0, "") == (priced.returncode, priced.stderr)
    assert [] == json.loads(live.cli("provider", "show", name, "--json").stdout)["unpriced_models"]
    key = live.key(live.tenant())
    wait_until(lambda: model in live.listed(key), 10)


def test_case_B5_the_warning_is_in_the_json(live: Live) -> None:
    """A program that adds a provider reads the unpriced models from the answer."""
    name, model = live.name("provider"), live.name("m")
    done = live.cli(
        "provider", "add", name, "--base-url", f"{live.suite.provider_url}/v1",
        "--model", model, "--model", "demo-gpt", "--json", stdin=live.provider_key,
    )  # fmt: skip
    assert [model] == json.loads(done.stdout)["unpriced_models"]
    live.cli("provider", "disable", name)


def test_case_B5_a_key_for_a_model_with_a_typo_is_refused(live: Live) -> None:
    """`key create --model demo-gtp` makes no key and asks whether demo-gpt was meant; --force does."""
    tenant, name = live.tenant(), live.name("key")
    create = ("key", "create", "--tenant", tenant, "--name", name, "--model", "demo-gtp")
    done = live.cli(*create)
    assert 1 == done.returncode
    assert "did you mean demo-gpt" in done.stderr
    assert "--force" in done.stderr
    assert [] == json.loads(live.cli("key", "list", "--tenant", tenant, "--json").stdout)
    forced = live.cli(*create, "--force", "--json")
    assert ["demo-gtp"] == json.loads(forced.stdout)["allowed_models"]
    good = live.cli("key", "create", "--tenant", tenant, "--name", "good", "--model", "demo-gpt")
    assert 0 == good.returncode, good.stderr


def test_case_B5_names_with_a_typo(live: Live) -> None:
    """Tenants, providers and prices that do not exist are answered with the nearest that do."""
    for command, meant in (
        ("budget show dmo", "demo"),
        ("tenant suspend demmo", "demo"),
        ("provider show demo-opnai", "demo-openai"),
        ("provider test demo-opnai", "demo-openai"),
        ("provider disable demo-opnai", "demo-openai"),
        ("provider test demo-openai --model demo-gp", "demo-gpt"),
        ("price show demo-gp", "demo-gpt"),
    ):
        done = live.cli(*command.split())
        assert (1, True) == (done.returncode, f"did you mean {meant}" in done.stderr), done.stderr
    noted = live.cli("price", "set", live.name("m"), "--input", "1", "--output", "1")
    assert "note: no provider serves" in noted.stderr


def overrun(live: Live, account: str) -> None:
    """A settlement above what was reserved, as an upstream that answers too much causes."""
    budget = budget_pb2_grpc.BudgetServiceStub(live.channel("edge-api", "budget"))
    reservation = Ids(SystemClock()).uuid7()
    reserve = budget_pb2.ReserveRequest(
        reservation_id=reservation,
        account_ids=[account],
        amount_nano_usd=1000,
        timeout=Duration(seconds=60),
        trace_id="trace-overrun",
        tenant_id=account.partition(":")[2],
        model="demo-gpt",
    )
    assert budget.Reserve(reserve, timeout=10).WhichOneof("outcome") == "reservation"
    settlement = budget_pb2.Settlement(
        reservation_id=reservation, amount_nano_usd=5000, trace_id="trace-overrun"
    )
    settled = budget.Settle(budget_pb2.SettleRequest(settlements=[settlement]), timeout=10)
    assert [4000] == [result.overrun_nano_usd for result in settled.results]


def test_a_frozen_account_is_explained(live: Live) -> None:
    """An account is frozen only while it is above its limit: the command says so, and the ways out."""
    tenant = live.tenant(limit_usd=10)
    account = f"tenant:{tenant}"
    calm = live.cli("budget", "unfreeze", account)
    assert (0, True) == (calm.returncode, "is not frozen" in calm.stdout)
    overrun(live, account)
    assert not live.account(account).frozen
    assert 200 == live.call(live.key(tenant), "demo-gpt").status_code
    live.settled(account)
    live.set_limit(account, 0.0)
    before = live.account(account)
    assert before.frozen
    done = live.cli("budget", "unfreeze", account)
    assert (1, True) == (done.returncode, "is frozen" in done.stderr)
    for way in ("tollgate budget set", "calls in flight", "next month"):
        assert way in done.stderr
    as_json = live.cli("budget", "unfreeze", account, "--json")
    assert (1, True) == (as_json.returncode, json.loads(as_json.stdout)["frozen"])
    assert before == live.account(account)


def test_a_tenant_whose_name_looks_like_another_account(live: Live) -> None:
    """A colon in a name breaks no list, and the tenant is found by it."""
    for name in ("key:no-such-key", "odd:one"):
        assert 0 == live.cli("tenant", "create", name, "--monthly-usd", "3").returncode
    listed = live.cli("budget", "show")
    assert (0, True, True) == (
        listed.returncode, "key:no-such-key" in listed.stdout, "odd:one" in listed.stdout
    )  # fmt: skip
    for account in ("odd:one", "tenant:key:no-such-key"):
        assert "$3" in live.cli("budget", "show", account).stdout


def test_a_second_key_of_one_name_is_made_with_a_warning(live: Live) -> None:
    """`key create` says on stderr which other key of the tenant has that name, and makes it."""
    tenant = live.tenant()
    create = ("key", "create", "--tenant", tenant, "--name", "twin", "--json")
    first = live.cli(*create)
    assert (0, "") == (first.returncode, first.stderr)
    second = live.cli(*create)
    assert (0, True) == (second.returncode, json.loads(first.stdout)["key_id"] in second.stderr)
    assert json.loads(first.stdout)["key_id"] != json.loads(second.stdout)["key_id"]


def test_a_tenant_that_exists_is_named(live: Live) -> None:
    """`tenant create` with another cap calls the tenant by its name, in the command that helps too."""
    name = live.name("acme")
    assert 0 == live.cli("tenant", "create", name, "--monthly-usd", "3").returncode
    again = live.cli("tenant", "create", name, "--monthly-usd", "4")
    assert (1, True, True) == (
        again.returncode,
        f"tenant '{name}' exists" in again.stderr,
        f"tollgate budget set tenant:{name} --monthly-usd" in again.stderr,
    )


def test_no_long_tier_shows_no_price_for_one(live: Live) -> None:
    """`price show` prints what a long input costs only where it costs something else."""
    model = live.name("m")
    live.cli("price", "set", model, "--input", "1", "--output", "1")
    assert "long" not in live.cli("price", "show", model).stdout
    shown = json.loads(live.cli("price", "show", model, "--json").stdout)
    assert 0 == shown["long_context_tokens"]


def test_a_search_is_priced_by_the_thousand(live: Live) -> None:
    """`price set --web-search` takes the vendors' own number; unset and 0 are no price."""
    model = live.name("m")
    live.cli("price", "set", model, "--input", "1", "--output", "1")
    assert "no price" in live.cli("price", "show", model).stdout
    assert 0 == live.cli("price", "set", model, "--web-search", "10").returncode
    assert "$10.00 per thousand" in live.cli("price", "show", model).stdout
    shown = json.loads(live.cli("price", "show", model, "--json").stdout)
    assert (10_000_000_000, 1_000_000) == (shown["web_search_pico_usd"], shown["input_pico_usd"])
    live.cli("price", "set", model, "--web-search", "0")
    assert "no price" in live.cli("price", "show", model).stdout


def test_a_way_of_serving_is_priced_by_its_factor(live: Live) -> None:
    """`price set --flex 0.5` takes the factor as people write it; what is not given stays."""
    model = live.name("m")
    live.cli("price", "set", model, "--input", "1", "--output", "1")
    told = live.cli("price", "set", model, "--flex", "0.5", "--fast", "6", "--us", "1.1")
    assert (0, True) == (told.returncode, "flex: 0.5 times; fast: 6 times" in told.stdout)
    live.cli("price", "set", model, "--priority", "1.667")
    shown = json.loads(live.cli("price", "show", model, "--json").stdout)
    factors = [shown[f"{word}_permille"] for word in ("flex", "priority", "fast", "us")]
    assert [500, 1_667, 6_000, 1_100] == factors
    assert "1.667 times" in live.cli("price", "show", model).stdout
    for bad in ("0.0005", "x", "-1", "2000"):
        assert live.cli("price", "set", model, "--flex", bad).returncode


def test_a_bad_provider_is_told_all_its_faults_at_once(live: Live) -> None:
    """Protocol, address and key file are looked at before anything is asked for, and all are named."""
    done = live.cli(
        "provider", "add", live.name("p"), "--base-url", "api.example.com/v1", "--model", "m",
        "--protocol", "grpc", "--key-file", "/nowhere/key",
    )  # fmt: skip
    assert 1 == done.returncode
    for fault in ("'grpc' is no protocol", "--base-url", "/nowhere/key"):
        assert fault in done.stderr
    done = live.cli(
        "provider", "add", live.name("p"), "--base-url", "https://api.example.com", "--model", "m",
        "--protocol", "anthropic", "--without-include-usage", stdin="sk-none-12345678",
    )  # fmt: skip
    assert (1, True) == (done.returncode, "--without-include-usage is for" in done.stderr)


def test_hints_can_be_typed_as_they_stand(live: Live) -> None:
    """A command in a hint begins with what this program was called by."""
    called = str(Path(sys.executable).parent / "tollgate")
    assert f"{called} provider test" in live.cli(
        "provider", "add", live.name("p"), "--base-url", f"{live.suite.provider_url}/v1",
        "--model", "demo-gpt", stdin=live.provider_key,
    ).stdout  # fmt: skip
    refused = live.cli("budget", "show", "qqqq").stderr
    assert f"`TOLLGATE_HOME={live.suite.home.root} {called} tenant list`" in refused


def test_a_preset_that_is_contradicted_is_refused(live: Live) -> None:
    """What a vendor speaks is known: another protocol beside it was a mistake of one or the other."""
    done = live.cli(
        "provider", "add", live.name("p"), "--preset", "gemini", "--protocol", "anthropic",
        "--model", "m", stdin="sk-none-12345678",
    )  # fmt: skip
    assert 1 == done.returncode
    assert "--preset gemini speaks gemini, and --protocol says anthropic" in done.stderr


def test_a_base_url_that_is_missing_is_named_with_one_of_its_protocol(live: Live) -> None:
    """Gemini's and DashScope's have other paths than OpenAI's."""
    for protocol, example in (
        ("gemini", "https://generativelanguage.googleapis.com/v1beta"),
        ("dashscope", "https://dashscope.aliyuncs.com/api/v1"),
    ):
        for told, base_url in (("there is no --base-url", ""), ("neither https", "http://a.b/v1")):
            done = live.cli(
                "provider", "add", live.name("p"), "--protocol", protocol, "--base-url", base_url,
                "--model", "m", stdin="sk-none-12345678",
            )  # fmt: skip
            assert (1, True, True) == (
                done.returncode, told in done.stderr, f"as {example}" in done.stderr,
            )  # fmt: skip


def test_a_provider_is_shown_in_the_words_it_is_added_with(live: Live) -> None:
    """list, show and their JSON say of a protocol what --protocol takes."""
    for name, word in (("demo-openai", "openai"), ("demo-anthropic", "anthropic")):
        assert word == json.loads(live.cli("provider", "show", name, "--json").stdout)["protocol"]
    shown = live.cli("provider", "list").stdout
    assert "openai_chat" not in shown
    assert "anthropic_messages" not in shown


def test_a_second_key_is_said_to_be_one(live: Live) -> None:
    """`provider add` again adds a key to the provider that is there, and says so."""
    add = (
        "provider", "add", live.name("p"), "--base-url", f"{live.suite.provider_url}/v1",
        "--model", "demo-gpt",
    )  # fmt: skip
    assert "added with key pk-" in live.cli(*add, stdin=live.provider_key).stdout
    again = live.cli(*add, stdin=live.provider_key)
    assert (0, True) == (again.returncode, "was there already: added key 2 to it" in again.stdout)


def test_a_provider_that_is_not_reached_is_told_with_why(live: Live) -> None:
    """What the operator can do something about: here nobody listens."""
    name = live.name("p")
    add = (
        "provider",
        "add",
        name,
        "--base-url",
        "http://127.0.0.1:1/v1",
        "--model",
        live.name("m"),
    )
    assert 0 == live.cli(*add, stdin="sk-none-12345678").returncode
    done = live.cli("provider", "test", name)
    assert 1 == done.returncode
    assert f"provider {name} does not work: not reached: nothing listens" in done.stderr


def test_a_key_that_is_refused_leaves_no_provider(live: Live) -> None:
    """Nothing is made where the key alone shows it; what router sees later is told with the remedy."""
    name = live.name("p")
    add = (
        "provider", "add", name, "--protocol", "gemini", "--base-url",
        f"{live.suite.provider_url}/v1beta", "--model", "m",
    )  # fmt: skip
    assert 1 == live.cli(*add, stdin="{}").returncode
    assert 1 == live.cli("provider", "show", name).returncode
    weak = google.file(private_key=google.pem(google.private_key(1024)))
    done = live.cli(*add, stdin=weak)
    assert (1, True) == (done.returncode, "key was refused: no service account" in done.stderr)
    assert f"the provider '{name}' was made without a key" in done.stderr
    assert "run the same command with a good key" in done.stderr
    assert 0 == live.cli(*add, stdin="sk-none-12345678").returncode
