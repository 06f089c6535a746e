"""A new key for a provider in place of those it has: it is tried before the others go."""

from pathlib import Path

from tollgate.router.v1 import router_pb2
from tollgate_cli.commands import directory, provider, upstream_key
from tollgate_cli.fault import Fault
from tollgate_cli.operator_client import Operator
from tollgate_operations.request_ids import new_request_id

_TEST_TIMEOUT_S = 60.0


async def rotate(operator: Operator, name: str, key_file: Path | None) -> tuple[str, list[str]]:
    """The new key's name, and those of the keys that went. Raises Fault with the old ones in use.

    Calls that began with an old key end with it.
    """
    found = await directory.provider(operator, name)
    protocol = provider.protocol_word(found)
    secret = upstream_key.read(key_file, protocol)
    old = list(found.key_ids)
    added = await provider.add_key(
        operator, provider=name, secret=secret, request_id=new_request_id()
    )
    # The newest key is the one that is tried.
    request = router_pb2.TestProviderRequest(name=name)
    tried = await operator.call(operator.router.TestProvider, request, timeout_s=_TEST_TIMEOUT_S)
    if not tried.ok:
        if old:
            await _remove(operator, name, added)
        raise Fault(
            f"the new key does not work at {name}: {tried.problem.replace('_', ' ')}",
            "the keys that it had are in use as before" if old else "",
        )
    for key_id in old:
        await _remove(operator, name, key_id)
    return added, old


async def _remove(operator: Operator, name: str, key_id: str) -> None:
    request = router_pb2.RemoveProviderKeyRequest(
        request_id=new_request_id(), provider=name, key_id=key_id
    )
    await operator.call(operator.router.RemoveProviderKey, request)
