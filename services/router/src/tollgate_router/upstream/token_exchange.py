"""Where a service account's assertion is exchanged for an access token.

Promises: only at an address on the deployment's list, over connections with the rules of every
other upstream; the answer is waited for EXCHANGE_SECONDS at most, and of it nothing but the token
leaves here.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from tollgate_dialects.common.google_account import BadAccountError, ServiceAccount
from tollgate_kit.clock import Clock
from tollgate_kit.metrics import Metrics
from tollgate_router.providers import access_token, endpoint
from tollgate_router.providers.access_token import AccessToken, TokenFault
from tollgate_router.providers.request_head import RequestHead
from tollgate_router.upstream.fault import Fault, UpstreamFault
from tollgate_router.upstream.upstream import Upstream

EXCHANGE_SECONDS: Final = 5.0
ANSWER_BYTES_MAX: Final = 16 * 1024
_HEADERS: Final = {
    "User-Agent": endpoint.USER_AGENT,
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}


class TokenExchange:
    """Gets tokens; keeps none."""

    def __init__(
        self, upstream: Upstream, token_uris: Iterable[str], *, clock: Clock, metrics: Metrics
    ) -> None:
        self._upstream = upstream
        self._heads = {uri: RequestHead.post(uri, _HEADERS) for uri in token_uris}
        self._clock = clock
        self._exchanges = metrics.counter(
            "token_exchanges_total", "Access tokens asked for, by what came of it.", ("result",)
        )

    async def token(self, account: ServiceAccount) -> AccessToken:
        """A new token. Raises TokenFault."""
        try:
            async with asyncio.timeout(EXCHANGE_SECONDS):
                token = await self._exchanged(account)
        except TimeoutError:
            fault = TokenFault("timeout")
        except UpstreamFault as met:
            fault = TokenFault(_WHY.get(met.fault, "no_token"))
        except BadAccountError:
            fault = TokenFault("refused")
        except TokenFault as met:
            fault = met
        else:
            self._exchanges.labels("ok").inc()
            return token
        self._exchanges.labels(fault.why).inc()
        raise fault

    async def _exchanged(self, account: ServiceAccount) -> AccessToken:
        head = self._heads.get(account.token_uri)
        if head is None:
            raise TokenFault("refused")
        body = access_token.request(account, now_s=self._clock.unix_ms() // 1000)
        answer = await self._upstream.send(head, body)
        data = await answer.read_all(ANSWER_BYTES_MAX)
        if 400 <= answer.status < 500 and answer.status != 429:  # noqa: PLR2004 - RFC 6749 section 5.2
            raise TokenFault("refused")
        if answer.status != 200:  # noqa: PLR2004 - RFC 6749 section 5.1
            raise TokenFault("not_reached")
        return access_token.read(data)


_WHY: Final[dict[Fault, access_token.Why]] = {
    Fault.CONNECT: "not_reached",
    Fault.BROKEN: "not_reached",
    Fault.TIMEOUT: "timeout",
}
