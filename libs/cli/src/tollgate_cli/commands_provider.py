"""`tollgate provider` and `tollgate price`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tollgate.router.v1 import router_pb2
from tollgate_cli import money, present, session
from tollgate_cli.fault import Fault
from tollgate_cli.operator_client import Operator, derived_request_id, new_request_id
from tollgate_cli.session import AsJson, ConfigFile

providers = typer.Typer(help="Upstreams and their keys.", no_args_is_help=True)
prices = typer.Typer(help="Prices that customers are charged by.", no_args_is_help=True)

PROTOCOLS = {
    "openai": router_pb2.CLIENT_PROTOCOL_OPENAI_CHAT,
    "anthropic": router_pb2.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES,
}
_TEST_TIMEOUT_S = 60.0
_MTOK = "Dollars per million tokens."
# What a model without bounds of its own may be asked for: a call is reserved for no more.
_BOUNDS: dict[str, Any] = {"max_input_tokens": 200_000, "max_output_tokens": 32_000}
Name = Annotated[str, typer.Argument(help="The provider's name.")]


async def add_provider(
    operator: Operator, *, name: str, protocol: str, base_url: str, models: list[str]
) -> Any:
    """Names an upstream. `models` are "client name=upstream name", or one name for both."""
    pairs = [model.partition("=") for model in models]
    request = router_pb2.AddProviderRequest(
        request_id=derived_request_id("provider", name, protocol, base_url, *models),
        name=name,
        protocol=PROTOCOLS[protocol],
        base_url=base_url,
        models=[
            router_pb2.ProviderModel(model=model, upstream_model=upstream or model)
            for model, _, upstream in pairs
        ],
    )
    return (await operator.call(operator.router.AddProvider, request)).provider


async def add_key(operator: Operator, *, provider: str, secret: str, request_id: str) -> str:
    """Hands a key to router, which seals it; returns its name."""
    request = router_pb2.AddProviderKeyRequest(
        request_id=request_id, provider=provider, secret=secret
    )
    answer = await operator.call(operator.router.AddProviderKey, request)
    return str(answer.key_id)


@providers.command("add")
def provider_add(
    name: Name,
    base_url: Annotated[str, typer.Option("--base-url", help="For example https://host/v1.")],
    model: Annotated[
        list[str], typer.Option("--model", help="NAME, or NAME=UPSTREAM-NAME; repeatable.")
    ],
    protocol: Annotated[str, typer.Option("--protocol", help="openai or anthropic.")] = "openai",
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="Holds the key; default: standard input.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Add an upstream and its key. The key is read from a file or standard input, never argv."""
    if protocol not in PROTOCOLS:
        raise Fault(f"{protocol!r} is no protocol", f"one of: {', '.join(PROTOCOLS)}")
    secret = _read_key(key_file)

    async def work(operator: Operator) -> Any:
        provider = await add_provider(
            operator, name=name, protocol=protocol, base_url=base_url, models=model
        )
        key_id = await add_key(
            operator, provider=provider.name, secret=secret, request_id=new_request_id()
        )
        return provider, key_id

    provider, key_id = session.run(config, work)
    if as_json:
        present.print_json({**present.plain(provider), "key_id": key_id})
        return
    print(
        f"provider {provider.name} added with key {key_id}; try it: tollgate provider test {name}"
    )


def _read_key(key_file: Path | None) -> str:
    if key_file is None and sys.stdin.isatty():
        print("paste the key, then Ctrl-D:", file=sys.stderr)
    try:
        text = key_file.read_text(encoding="utf-8") if key_file else sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Fault(f"cannot read the key: {type(error).__name__}", "check --key-file") from None
    key = text.strip()
    if not key or any(c.isspace() for c in key):
        raise Fault("the key is empty or has blanks in it", "give one key, and nothing else")
    return key


@providers.command("list")
def provider_list(as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show upstreams, their models and the names of their keys."""

    async def work(operator: Operator) -> Any:
        return await operator.call(operator.router.ListProviders, router_pb2.ListProvidersRequest())

    found = [present.plain(item) for item in session.run(config, work).providers]
    if as_json:
        present.print_json(found)
        return
    rows = [
        {
            "name": item["name"],
            "state": "enabled" if item["enabled"] else "disabled",
            "protocol": item["protocol"],
            "base url": item["base_url"],
            "models": ", ".join(model["model"] for model in item["models"]),
            "keys": ", ".join(item["key_ids"]) or "none",
        }
        for item in found
    ]
    present.print_table(rows, empty="no providers")


@providers.command("test")
def provider_test(
    name: Name,
    model: Annotated[str, typer.Option("--model", help="Default: its first model.")] = "",
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Make the smallest real call to an upstream (which may cost a fraction of a cent)."""

    async def work(operator: Operator) -> Any:
        request = router_pb2.TestProviderRequest(name=name, model=model)
        return await operator.call(operator.router.TestProvider, request, timeout_s=_TEST_TIMEOUT_S)

    answer = session.run(config, work)
    if as_json:
        present.print_json(present.plain(answer))
    elif answer.ok:
        print(f"{name} works: first byte after {answer.latency_ms} ms")
    if not answer.ok and not as_json:
        status = f" (HTTP {answer.http_status})" if answer.http_status else ""
        raise Fault(f"{name} does not work: {answer.problem.replace('_', ' ')}{status}")
    if not answer.ok:
        raise typer.Exit(1)


@providers.command("disable")
def provider_disable(name: Name, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Take an upstream out of the routes."""
    _set_enabled(name, as_json=as_json, config=config, enabled=False)


@providers.command("enable")
def provider_enable(name: Name, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Put an upstream back into the routes."""
    _set_enabled(name, as_json=as_json, config=config, enabled=True)


def _set_enabled(name: str, *, as_json: bool, config: ConfigFile, enabled: bool) -> None:
    async def work(operator: Operator) -> Any:
        request = router_pb2.SetProviderEnabledRequest(
            request_id=new_request_id(), name=name, enabled=enabled
        )
        return (await operator.call(operator.router.SetProviderEnabled, request)).provider

    provider = session.run(config, work)
    if as_json:
        present.print_json(present.plain(provider))
    else:
        print(f"provider {name} is {'enabled' if enabled else 'disabled'}")


@prices.command("list")
def price_list(as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show the newest price of every model, in dollars per million tokens."""
    found = _prices("", config)
    if as_json:
        present.print_json(found)
        return
    rows = [
        {
            "model": item["model"],
            "input": money.format_usd_per_mtok(item["input_pico_usd"]),
            "output": money.format_usd_per_mtok(item["output_pico_usd"]),
            "cache read": money.format_usd_per_mtok(item["cache_read_pico_usd"]),
            "version": item["version"],
            "source": item["source"],
        }
        for item in found
    ]
    present.print_table(rows, empty="no prices")


@prices.command("show")
def price_show(model: str, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show the newest price of one model."""
    found = _prices(model, config)
    if not found:
        raise Fault(f"there is no price for {model!r}", "`tollgate price list` shows all")
    if as_json:
        present.print_json(found[0])
        return
    shown = {
        name.removesuffix("_pico_usd").replace("_", " "): (
            f"{money.format_usd_per_mtok(value)} per million tokens"
            if name.endswith("_pico_usd")
            else value
        )
        for name, value in found[0].items()
    }
    present.print_fields(shown)


@prices.command("set")
def price_set(
    model: str,
    *,
    input_usd: Annotated[str | None, typer.Option("--input", help=_MTOK)] = None,
    output_usd: Annotated[str | None, typer.Option("--output", help=_MTOK)] = None,
    cache_read_usd: Annotated[str | None, typer.Option("--cache-read", help=_MTOK)] = None,
    cache_write_5m_usd: Annotated[str | None, typer.Option("--cache-write-5m", help=_MTOK)] = None,
    cache_write_1h_usd: Annotated[str | None, typer.Option("--cache-write-1h", help=_MTOK)] = None,
    max_input_tokens: Annotated[int | None, typer.Option(min=1)] = None,
    max_output_tokens: Annotated[int | None, typer.Option(min=1)] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Make a new version of a model's price. What is not given stays as it is."""
    given = {
        "input_pico_usd": _pico(input_usd),
        "output_pico_usd": _pico(output_usd),
        "cache_read_pico_usd": _pico(cache_read_usd),
        "cache_write_5m_pico_usd": _pico(cache_write_5m_usd),
        "cache_write_1h_pico_usd": _pico(cache_write_1h_usd),
        "max_input_tokens": max_input_tokens,
        "max_output_tokens": max_output_tokens,
    }

    async def work(operator: Operator) -> Any:
        listed = await operator.call(
            operator.router.ListPrices, router_pb2.ListPricesRequest(model=model)
        )
        price = listed.prices[0] if listed.prices else _first_price(model, given)
        for name, value in given.items():
            if value is not None:
                setattr(price, name, value)
        request = router_pb2.SetPriceRequest(request_id=new_request_id(), price=price)
        return (await operator.call(operator.router.SetPrice, request)).price

    price = session.run(config, work)
    if as_json:
        present.print_json(present.plain(price))
        return
    print(
        f"price of {model}, version {price.version}: input "
        f"{money.format_usd_per_mtok(price.input_pico_usd)}, output "
        f"{money.format_usd_per_mtok(price.output_pico_usd)} per million tokens; "
        f"at most {price.max_input_tokens} tokens in, {price.max_output_tokens} out"
    )


def _first_price(model: str, given: dict[str, int | None]) -> Any:
    if given["input_pico_usd"] is None or given["output_pico_usd"] is None:
        raise Fault(f"{model!r} has no price yet", "give both --input and --output")
    # Cached tokens without a price of their own: reading costs what plain input does, writing what
    # the dearest publisher asks (5/4 and twice the input). High, so that a cap is never passed.
    plain = given["input_pico_usd"]
    return router_pb2.Price(
        model=model,
        cache_read_pico_usd=plain,
        cache_write_5m_pico_usd=-(-plain * 5 // 4),
        cache_write_1h_pico_usd=plain * 2,
        **_BOUNDS,
    )


def _prices(model: str, config: ConfigFile) -> list[dict[str, Any]]:
    async def work(operator: Operator) -> Any:
        request = router_pb2.ListPricesRequest(model=model)
        return await operator.call(operator.router.ListPrices, request)

    return [present.plain(item) for item in session.run(config, work).prices]


def _pico(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return money.parse_usd_per_mtok(text)
    except money.BadAmount as bad:
        raise Fault(str(bad)) from bad
