"""The demo: a model on each protocol, a tenant with a $5 cap, and a key to call with.

Everything goes through the admin RPCs with the operator's certificate, as an operator would do
it. May be run again: what is there is kept, a cap that the operator has changed included.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tollgate.router.v1 import router_pb2
from tollgate_cli import money, state_file
from tollgate_cli.commands import directory
from tollgate_cli.commands import key as commands_key
from tollgate_cli.commands import provider as commands_provider
from tollgate_cli.demo_provider.speech.protocols import PROTOCOLS
from tollgate_cli.fault import Fault
from tollgate_cli.operator_client import Operator, OperatorConfig
from tollgate_cli.private_file import write_private
from tollgate_kit import virtual_key
from tollgate_operations import accounts
from tollgate_operations.request_ids import derived_request_id, new_request_id
from tollgate_operations.tenants import create_tenant

TENANT = "demo"
MONTHLY_USD = "5"
# Model -> the protocol that it is served on.
MODELS = {spoken.model: name for name, spoken in PROTOCOLS.items()}


@dataclass(frozen=True)
class Demo:
    """Where the demo provider is, and where the demo's key is kept."""

    provider_url: str
    provider_key: str
    key_file: Path


async def run(configuration: OperatorConfig, demo: Demo) -> tuple[str, bool]:
    """Seeds what is missing; the demo key's text, and whether it was made just now."""
    is_new = not _kept_key(demo.key_file)
    async with Operator(configuration) as operator:
        await _providers(operator, demo)
        # A cap that an operator has changed since the first start stays.
        await create_tenant(operator, TENANT, money.parse_usd(MONTHLY_USD))
        if is_new:
            wanted = commands_key.Wanted(tenant=TENANT, name="demo", environment="dev")
            await commands_key.issue(
                operator,
                wanted,
                new_request_id(),
                lambda issued: write_private(demo.key_file, issued.secret.reveal()),
            )
        else:
            await _open_account(operator, _kept_key(demo.key_file))
    return _kept_key(demo.key_file), is_new


async def _open_account(operator: Operator, text: str) -> None:
    """Opens the account of a demo key that has none: a start was interrupted, or was older."""
    for _, key in await directory.keys(operator, TENANT):
        if text.startswith(f"{key.public_prefix}_"):
            await accounts.open_account(operator, f"key:{key.key_id}", None, key.key_id)


def _kept_key(path: Path) -> str:
    # Empty when there is none yet; a link that leads nowhere is not "none yet".
    remedy = f"rm -r '{path}'  (the next start makes another key)"
    if not os.path.lexists(path):
        return ""
    try:
        text = state_file.read_text(path, remedy).strip()
    except FileNotFoundError:
        raise Fault(f"{path} is a link that leads nowhere", remedy) from None
    if virtual_key.parse(text) is None:
        raise Fault(f"{path} was altered: it holds no virtual key", remedy)
    return text


async def _providers(operator: Operator, demo: Demo) -> None:
    listed = await operator.call(operator.router.ListProviders, router_pb2.ListProvidersRequest())
    known = {provider.name: provider for provider in listed.providers}
    port = demo.provider_url.rpartition(":")[2]
    for model, protocol in MODELS.items():
        usual = f"demo-{protocol}"
        base_url = f"{demo.provider_url}{PROTOCOLS[protocol].base_path}"
        # A key is for one address: an upstream that moved (its port was taken) is another.
        name = usual if _free_or_here(known.get(usual), base_url) else f"{usual}-{port}"
        for other in known.values():
            if other.name != name and other.enabled and _is_demo(other.name, usual):
                await _switch(operator, other.name, enabled=False)
        if name not in known:
            known[name] = await commands_provider.add_provider(
                operator, name=name, protocol=protocol, base_url=base_url, models=[model]
            )
        elif not known[name].enabled and name != usual:
            await _switch(operator, name, enabled=True)
        if not known[name].key_ids:
            await commands_provider.add_key(
                operator,
                provider=name,
                secret=demo.provider_key,
                request_id=derived_request_id("demo-key", name, demo.provider_key),
            )


def _free_or_here(provider: Any, base_url: str) -> bool:
    return provider is None or provider.base_url.rstrip("/") == base_url


def _is_demo(name: str, usual: str) -> bool:
    return name == usual or name.removeprefix(f"{usual}-").isdecimal()


async def _switch(operator: Operator, name: str, *, enabled: bool) -> None:
    request = router_pb2.SetProviderEnabledRequest(
        request_id=new_request_id(), name=name, enabled=enabled
    )
    await operator.call(operator.router.SetProviderEnabled, request)
