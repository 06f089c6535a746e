"""`tollgate price`: what customers are charged by."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tollgate.router.v1 import router_pb2
from tollgate_cli import hint, money
from tollgate_cli.commands import callable_models, present, session
from tollgate_cli.commands.session import AsJson, ConfigFile
from tollgate_cli.fault import Fault
from tollgate_cli.operator_client import Operator
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.request.variants import Variant
from tollgate_operations.request_ids import new_request_id

prices = typer.Typer(help="Prices that customers are charged by.", no_args_is_help=True)

# Of a table: the rest is shown model by model.
_COLUMNS = (Unit.INPUT, Unit.OUTPUT, Unit.CACHE_READ)
_MTOK = "Dollars per million tokens."
_SEARCHES = "Dollars per thousand searches that the vendor makes itself; 0: none are allowed."
_FACTOR = "What it multiplies the prices of tokens by, such as {}; 0: not available."
_FLEX = "OpenAI's service_tier flex. " + _FACTOR.format("0.5")
_PRIORITY = "OpenAI's service_tier priority or fast. " + _FACTOR.format("2")
_FAST = "Anthropic's speed fast. " + _FACTOR.format("2")
_US = "Anthropic's inference_geo us. " + _FACTOR.format("1.1")
_FACTORS = frozenset(variant.factor_field for variant in Variant)
_SOUND = "Dollars per million tokens of sound; 0: none is allowed."
_CONTAINER = "Dollars for a container that the vendor runs code in; 0: none is allowed."
_OPTIONAL = frozenset(unit.price_field for unit in Unit if unit.is_optional)
_TOLD = {
    "tokens": (money.format_usd_per_mtok, "per million tokens"),
    "requests": (money.format_usd_per_thousand, "per thousand"),
    "sessions": (money.format_usd_each, "each"),
}
_COUNTED = {unit.price_field: unit.counted for unit in Unit}
# What a model without bounds of its own may be asked for: a call is reserved for no more.
_BOUNDS: dict[str, Any] = {"max_input_tokens": 200_000, "max_output_tokens": 32_000}


@prices.command("list")
def price_list(as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show the newest price of every model, in dollars per million tokens."""
    present.print_list(_prices("", config), _row, as_json=as_json, empty="no prices")


def _row(item: dict[str, Any]) -> dict[str, object]:
    return {
        "model": item["model"],
        **{
            unit.word.replace("_", " "): money.format_usd_per_mtok(item[unit.price_field])
            for unit in _COLUMNS
        },
        "version": item["version"],
        "source": item["source"],
    }


@prices.command("show")
def price_show(model: str, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show the newest price of one model."""
    found = _prices(model, config)
    if not found:
        near = callable_models.nearest(model, [item["model"] for item in _prices("", config)])
        raise Fault(f"there is no price for {model!r}", near or "`tollgate price list` shows all")
    if as_json:
        present.print_json(found[0])
        return
    shown = {
        name.removesuffix("_pico_usd").removesuffix("_permille").replace("_", " "): _shown(
            name, value
        )
        for name, value in found[0].items()
        if found[0]["long_context_tokens"] or not name.startswith("long_")
    }
    present.print_fields(shown)


def _shown(name: str, value: Any) -> Any:
    if name in _OPTIONAL | _FACTORS and not value:
        return "no price"
    if name in _FACTORS:
        return f"{money.format_factor(value)} times"
    if name.endswith("_pico_usd"):
        told, per = _TOLD[_COUNTED[name.removeprefix("long_")]]
        return f"{told(value)} {per}"
    return value


@prices.command("set")
def price_set(
    model: str,
    *,
    input_usd: Annotated[str | None, typer.Option("--input", help=_MTOK)] = None,
    output_usd: Annotated[str | None, typer.Option("--output", help=_MTOK)] = None,
    cache_read_usd: Annotated[str | None, typer.Option("--cache-read", help=_MTOK)] = None,
    cache_write_5m_usd: Annotated[str | None, typer.Option("--cache-write-5m", help=_MTOK)] = None,
    cache_write_1h_usd: Annotated[str | None, typer.Option("--cache-write-1h", help=_MTOK)] = None,
    web_search_usd: Annotated[str | None, typer.Option("--web-search", help=_SEARCHES)] = None,
    audio_input_usd: Annotated[str | None, typer.Option("--audio-input", help=_SOUND)] = None,
    audio_output_usd: Annotated[str | None, typer.Option("--audio-output", help=_SOUND)] = None,
    container_usd: Annotated[str | None, typer.Option("--container", help=_CONTAINER)] = None,
    flex: Annotated[str | None, typer.Option(help=_FLEX)] = None,
    priority: Annotated[str | None, typer.Option(help=_PRIORITY)] = None,
    fast: Annotated[str | None, typer.Option(help=_FAST)] = None,
    us: Annotated[str | None, typer.Option(help=_US)] = None,
    max_input_tokens: Annotated[int | None, typer.Option(min=1)] = None,
    max_output_tokens: Annotated[int | None, typer.Option(min=1)] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Make a new version of a model's price. What is not given stays as it is."""
    rates = (
        input_usd, output_usd, cache_read_usd, cache_write_5m_usd, cache_write_1h_usd,
        web_search_usd, audio_input_usd, audio_output_usd, container_usd,
    )  # fmt: skip
    given = {
        **{
            unit.price_field: session.pico_usd(rate, unit.counted)
            for unit, rate in zip(Unit, rates, strict=True)
        },
        **{
            variant.factor_field: session.permille(factor)
            for variant, factor in zip(Variant, (flex, priority, fast, us), strict=True)
        },
        "max_input_tokens": max_input_tokens,
        "max_output_tokens": max_output_tokens,
    }
    if not any(value is not None for value in given.values()):
        raise Fault("nothing is set: name a price or a limit, for example --input 2.50")

    async def work(operator: Operator) -> Any:
        listed = await operator.call(
            operator.router.ListPrices, router_pb2.ListPricesRequest(model=model)
        )
        price = listed.prices[0] if listed.prices else _first_price(model, given)
        for name, value in given.items():
            if value is not None:
                setattr(price, name, value)
        request = router_pb2.SetPriceRequest(request_id=new_request_id(), price=price)
        price = (await operator.call(operator.router.SetPrice, request)).price
        return price, (await callable_models.models(operator)).why_not(model)

    price, why_not = session.run(config, work)
    if as_json:
        present.print_json(present.plain(price))
        return
    print(_told(price, given))
    if why_not:
        print(hint.typed(f"note: {why_not[0]}; {why_not[1]}"), file=sys.stderr)


def _told(price: Any, given: Mapping[str, int | None]) -> str:
    return (
        f"price of {price.model}, version {price.version}: input "
        f"{money.format_usd_per_mtok(price.input_pico_usd)}, output "
        f"{money.format_usd_per_mtok(price.output_pico_usd)} per million tokens; "
        f"at most {price.max_input_tokens} tokens in, {price.max_output_tokens} out"
        f"{''.join(_others(price, given))}{_factors(price)}"
    )


def _others(price: Any, given: Mapping[str, int | None]) -> list[str]:
    """The classes beside input and output that have a price or were given one, and searches."""
    found = [(unit, getattr(price, unit.price_field)) for unit in Unit]
    told = {name for name, value in given.items() if value is not None}
    return [
        f"; {unit.word.replace('_', ' ')}: {_shown(unit.price_field, value)}"
        for unit, value in found
        if unit not in (Unit.INPUT, Unit.OUTPUT)
        and (value or unit is Unit.WEB_SEARCH or unit.price_field in told)
    ]


def _factors(price: Any) -> str:
    """The ways of serving that have a factor."""
    found = {variant.word: getattr(price, variant.factor_field) for variant in Variant}
    return "".join(f"; {word}: {_shown(f'{word}_permille', v)}" for word, v in found.items() if v)


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
