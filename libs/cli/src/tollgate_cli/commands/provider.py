"""`tollgate provider`: upstreams, their keys, and what they serve."""

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tollgate.router.v1 import router_pb2
from tollgate_cli import hint
from tollgate_cli.commands import callable_models, directory, present, session, upstream_key
from tollgate_cli.commands.presets import PRESETS, Preset
from tollgate_cli.commands.session import AsJson, ConfigFile
from tollgate_cli.fault import Fault
from tollgate_cli.operator_client import Operator, Refused
from tollgate_operations.request_ids import derived_request_id, new_request_id

providers = typer.Typer(help="Upstreams and their keys.", no_args_is_help=True)

PROTOCOLS = {
    "openai": router_pb2.CLIENT_PROTOCOL_OPENAI_CHAT,
    "anthropic": router_pb2.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES,
    "responses": router_pb2.CLIENT_PROTOCOL_OPENAI_RESPONSES,
    "gemini": router_pb2.CLIENT_PROTOCOL_GEMINI,
    "dashscope": router_pb2.CLIENT_PROTOCOL_DASHSCOPE,
    "bedrock": router_pb2.CLIENT_PROTOCOL_BEDROCK_CONVERSE,
    "bedrock-invoke": router_pb2.CLIENT_PROTOCOL_BEDROCK_INVOKE,
    "vertex-anthropic": router_pb2.CLIENT_PROTOCOL_VERTEX_ANTHROPIC,
}
_WORDS = {
    present.enum_word(router_pb2.ClientProtocol.Name(number), "ClientProtocol"): word
    for word, number in PROTOCOLS.items()
}
_TEST_TIMEOUT_S = 60.0
_ANY_HOST = "https://host/v1"
# Why a provider was not reached, as router says it.
_UNREACHED = {
    "name_not_found": "its host name is not found (DNS)",
    "address_not_allowed": "its host name leads into this network, where no provider may be",
    "refused": "nothing listens at that host and port (connection refused)",
    "unreachable": "there is no way to its address",
    "timeout": "no connection came about in time",
    "tls": "no TLS came about (is it http, or another port?)",
    "certificate": "its TLS certificate is not one that router trusts (SSL_CERT_FILE adds some)",
    "closed": "it closed the connection at once",
}
# Router looks closer; what this does not match it refuses in any deployment.
_BASE_URL = re.compile(
    r"https://[^/]|http://(localhost|127\.[0-9.]+|\[[0:]+1\])([:/]|$)", re.IGNORECASE
)
Name = Annotated[str, typer.Argument(help="The provider's name.")]
PresetName = Annotated[
    str, typer.Option("--preset", help=f"A vendor that is known: {', '.join(PRESETS)}.")
]
BaseUrl = Annotated[
    str, typer.Option("--base-url", help="For example https://host/v1; default: the preset's.")
]
Protocol = Annotated[
    str,
    typer.Option("--protocol", help=f"{', '.join(PROTOCOLS)}; default: the preset's, or openai."),
]

KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        help="The key, or a Google service account's JSON file; default: standard input.",
    ),
]


async def add_provider(
    operator: Operator,
    *,
    name: str,
    protocol: str,
    base_url: str,
    models: list[str],
    without_include_usage: bool = False,
) -> Any:
    """Names an upstream. `models` are "client name=upstream name", or one name for both."""
    options = ["--without-include-usage"] if without_include_usage else []
    pairs = [model.partition("=") for model in models]
    request = router_pb2.AddProviderRequest(
        request_id=derived_request_id("provider", name, protocol, base_url, *models, *options),
        name=name,
        protocol=PROTOCOLS[protocol],
        base_url=base_url,
        models=[
            router_pb2.ProviderModel(model=model, upstream_model=upstream or model)
            for model, _, upstream in pairs
        ],
        without_include_usage=without_include_usage,
    )
    return (await operator.call(operator.router.AddProvider, request)).provider


async def add_key(operator: Operator, *, provider: str, secret: str, request_id: str) -> str:
    """Hands a key to router, which encrypts it; returns its name."""
    request = router_pb2.AddProviderKeyRequest(
        request_id=request_id, provider=provider, secret=secret
    )
    answer = await operator.call(operator.router.AddProviderKey, request)
    return str(answer.key_id)


@providers.command("add")
def provider_add(
    name: Name,
    *,
    model: Annotated[
        list[str], typer.Option("--model", help="NAME, or NAME=UPSTREAM-NAME; repeatable.")
    ],
    preset: PresetName = "",
    base_url: BaseUrl = "",
    protocol: Protocol = "",
    key_file: KeyFile = None,
    without_include_usage: Annotated[
        bool,
        typer.Option(
            "--without-include-usage",
            help="It refuses stream_options.include_usage, as Mistral does: never send it.",
        ),
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Add an upstream and its key. The key is read from a file or standard input, never argv."""
    known_as = _known_as(preset, protocol, base_url)
    base_url = base_url or known_as.base_url
    protocol = protocol or known_as.protocol
    without_include_usage |= known_as.without_include_usage
    secret = _checked(preset, protocol, base_url, key_file, without_include_usage)

    async def work(operator: Operator) -> Any:
        provider = await add_provider(
            operator,
            name=name,
            protocol=protocol,
            base_url=base_url,
            models=model,
            without_include_usage=without_include_usage,
        )
        key_id = await _key_added(operator, provider, secret)
        known = await callable_models.models(operator)
        found = await directory.provider(operator, provider.name)
        return found, key_id, known.unpriced(found)

    provider, key_id, unpriced = session.run(config, work)
    if as_json:
        shown = {**_plain(provider), "key_id": key_id, "unpriced_models": unpriced}
        present.print_json(shown)
    else:
        print(_added(provider, key_id))
        print(hint.typed(f"  try it: tollgate provider test {name}"))
    for without in unpriced:
        print(
            f"WARNING: {without} has no price, so it cannot be called yet; set one:\n"
            f"  {hint.typed(callable_models.price_command(without))}",
            file=sys.stderr,
        )


async def _key_added(operator: Operator, provider: Any, secret: str) -> str:
    """Raises Fault where the provider stands now without any key."""
    request_id = new_request_id()
    try:
        return await add_key(operator, provider=provider.name, secret=secret, request_id=request_id)
    except Refused as refused:
        if provider.key_ids:
            raise
        raise Fault(
            f"{refused.problem}\n  the provider {provider.name!r} was made without a key",
            "run the same command with a good key",
        ) from None


def _known_as(preset: str, protocol: str, base_url: str) -> Preset:
    """What the preset says, else the options. Raises Fault where they contradict each other."""
    known_as = PRESETS.get(preset, Preset(protocol or "openai", base_url))
    if protocol not in {"", known_as.protocol}:
        raise Fault(
            f"--preset {preset} speaks {known_as.protocol}, and --protocol says {protocol}",
            "leave one of them out; without --preset give --base-url",
        )
    return known_as


def _added(provider: Any, key_id: str) -> str:
    """The same command adds a provider, and another key to one that is there."""
    count = len(provider.key_ids)
    if count == 1:
        return f"provider {provider.name} added with key {key_id}"
    return f"provider {provider.name} was there already: added key {count} to it, {key_id}"


def _checked(
    preset: str, protocol: str, base_url: str, key_file: Path | None, without_include_usage: bool
) -> str:
    """The key. Raises Fault with everything that can be seen to be wrong from here."""
    if preset and preset not in PRESETS:
        raise Fault(f"{preset!r} is no preset", f"one of: {', '.join(PRESETS)}")
    faults: list[Fault] = []
    if protocol not in PROTOCOLS:
        faults.append(Fault(f"{protocol!r} is no protocol", f"one of: {', '.join(PROTOCOLS)}"))
    elif without_include_usage and protocol != "openai":
        faults.append(Fault("--without-include-usage is for --protocol openai alone"))
    if preset and base_url == PRESETS[preset].base_url and not PRESETS[preset].is_complete:
        faults.append(Fault(f"--preset {preset} needs --base-url", f"as {base_url}"))
    elif not base_url:
        faults.append(Fault("there is no --base-url, and no --preset", f"as {_example(protocol)}"))
    elif not _BASE_URL.match(base_url):
        faults.append(
            Fault(
                "--base-url is neither https nor http to this machine",
                f"as {PRESETS[preset].base_url if preset else _example(protocol)}",
            )
        )
    secret = ""
    try:
        secret = upstream_key.read(key_file, protocol)
    except Fault as fault:
        faults.append(fault)
    if preset and upstream_key.is_account(secret) and base_url == PRESETS[preset].base_url:
        needed = PRESETS[preset].account_base_url
        if needed:
            faults.append(Fault(f"a service account of {preset} needs --base-url", f"as {needed}"))
    if faults:
        *others, last = faults
        lines = [f"{one.problem}\n  {one.remedy}".rstrip() for one in others]
        raise Fault("\n".join([*lines, last.problem]), last.remedy)
    return secret


def _example(protocol: str) -> str:
    """The base URL of a vendor that speaks it; of OpenAI's protocols many do."""
    if protocol in {"openai", "responses"}:
        return _ANY_HOST
    known = (one.base_url for one in PRESETS.values() if one.protocol == protocol)
    return next(known, _ANY_HOST)


@providers.command("presets")
def provider_presets(as_json: AsJson = False) -> None:
    """Show the vendors that --preset knows, and what of their addresses is to be filled in."""
    known = [
        {"name": name, "protocol": one.protocol, "base_url": one.base_url, "fill_in": one.left_out}
        for name, one in PRESETS.items()
    ]
    present.print_list(known, _preset_row, as_json=as_json, empty="no presets")


def _preset_row(item: dict[str, Any]) -> dict[str, object]:
    return {
        "name": item["name"],
        "protocol": item["protocol"],
        "base url": item["base_url"],
        "to fill in": ", ".join(item["fill_in"]),
    }


@providers.command("list")
def provider_list(as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show upstreams, their models, which of those have no price, and the names of their keys."""
    present.print_list(_listed(config), _row, as_json=as_json, empty="no providers")


@providers.command("show")
def provider_show(name: Name, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show one upstream."""
    found = _listed(config, name)[0]
    if as_json:
        present.print_json(found)
        return
    present.print_fields(_row(found))
    for without in found["unpriced_models"]:
        print(hint.typed(f"{without} cannot be called: {callable_models.price_command(without)}"))


def _listed(config: ConfigFile, name: str = "") -> list[dict[str, Any]]:
    """All, or the one of that name. Raises Fault."""

    async def work(operator: Operator) -> Any:
        if name:
            listed = [await directory.provider(operator, name)]
        else:
            request = router_pb2.ListProvidersRequest()
            listed = (await operator.call(operator.router.ListProviders, request)).providers
        known = await callable_models.models(operator)
        return [{**_plain(item), "unpriced_models": known.unpriced(item)} for item in listed]

    found: list[dict[str, Any]] = session.run(config, work)
    return found


def protocol_word(provider: Any) -> str:
    """Return the word of --protocol for the protocol that a provider speaks."""
    return str(_plain(provider)["protocol"])


def _plain(provider: Any) -> dict[str, Any]:
    """A provider as JSON values, its protocol in the words of --protocol."""
    shown = present.plain(provider)
    return {**shown, "protocol": _WORDS.get(shown["protocol"], shown["protocol"])}


def _row(item: dict[str, Any]) -> dict[str, object]:
    without = item["unpriced_models"]
    return {
        "name": item["name"],
        "state": "enabled" if item["enabled"] else "disabled",
        "protocol": item["protocol"]
        + (" (no include_usage)" if item["without_include_usage"] else ""),
        "base url": item["base_url"],
        "models": ", ".join(
            model["model"] + (" (NO PRICE)" if model["model"] in without else "")
            for model in item["models"]
        ),
        "keys": ", ".join(item["key_ids"]) or "none",
    }


@providers.command("test")
def provider_test(
    name: Name,
    model: Annotated[str, typer.Option("--model", help="Default: its first model.")] = "",
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Make the smallest real call to an upstream (which may cost a fraction of a cent)."""

    async def work(operator: Operator) -> Any:
        found = await directory.provider(operator, name)
        served = [item.model for item in found.models]
        if model and model not in served:
            near = callable_models.nearest(model, served) or f"it serves {', '.join(served)}"
            raise Fault(f"provider {name} serves no model {model!r}", near)
        request = router_pb2.TestProviderRequest(name=name, model=model)
        return await operator.call(operator.router.TestProvider, request, timeout_s=_TEST_TIMEOUT_S)

    answer = session.run(config, work)
    if as_json:
        present.print_json(present.plain(answer))
    elif answer.ok:
        print(f"provider {name} works: first byte after {answer.latency_ms} ms")
    if not answer.ok and not as_json:
        problem = answer.problem.replace("_", " ")
        problem += f" (HTTP {answer.http_status})" if answer.http_status else ""
        problem += f": {_UNREACHED[answer.unreached]}" if answer.unreached in _UNREACHED else ""
        raise Fault(f"provider {name} does not work: {problem}")
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
        await directory.provider(operator, name)
        request = router_pb2.SetProviderEnabledRequest(
            request_id=new_request_id(), name=name, enabled=enabled
        )
        return (await operator.call(operator.router.SetProviderEnabled, request)).provider

    provider = session.run(config, work)
    if as_json:
        present.print_json(_plain(provider))
    else:
        print(f"provider {name} is {'enabled' if enabled else 'disabled'}")
