"""What a workflow needs of its caller: stubs of the services, and a way to call them."""

from typing import Any, Protocol


class Services(Protocol):
    """An operator's stubs. `call` retries with the same request; what it raises is its own."""

    authz: Any
    budget: Any
    budget_read: Any

    async def call(self, rpc: Any, request: Any) -> Any:
        """The answer of one RPC."""
        ...
