"""One call on its way through the pipeline: what is known of it so far."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tollgate_dialects.pricing.usage import NOTHING
from tollgate_dialects.request.request import RequestFacts
from tollgate_edge.api.call.outcome import Outcome
from tollgate_edge.api.exchange import Exchange
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.errors.rates_left import RatesLeft
from tollgate_edge.headers import answer_headers
from tollgate_edge.headers.answer_headers import Facts, Headers
from tollgate_edge.identity.identity import KeyGrant

# A model's name as it may stand in evidence and log.
_MODEL_NAME = re.compile(r"[A-Za-z0-9._:/@+-]{1,128}")


@dataclass(slots=True)
class Call:
    """What is known of one call; each step of the pipeline adds to it."""

    exchange: Exchange
    # On the monotonic clock.
    began_at: float
    grant: KeyGrant | None = None
    request: RequestFacts | None = None
    # Until router has it: a call may last for minutes.
    body: bytes = b""
    # Until the catalogue knows it, a model's name is a client's own text: a prompt, or a key.
    is_model_known: bool = False
    outcome: Outcome | None = None
    refusal: Refusal | None = None
    # The client has its answer, whatever is still to be done.
    answered: bool = False
    remaining_nano_usd: int | None = None
    provider: str = ""
    route: str | None = None
    receipt: int | None = None
    # Searches were left out, for there was no money for them.
    without_searches: bool = False
    # Flags of anthropic-beta that did not go upstream, as the client wrote them.
    dropped_betas: tuple[str, ...] = ()
    # What the upstream's protocol could not carry of the request.
    dropped: tuple[str, ...] = ()
    # What was left of the key's rates, in the words of the client's protocol.
    rates: Headers = field(default_factory=list)
    # When router was asked and when it had told the end, on the monotonic clock.
    sent_at: float | None = None
    ended_at: float | None = None

    @property
    def model(self) -> str:
        """The model asked for, if its name may be written down."""
        if self.request is None or not self.is_model_known:
            return ""
        return self.request.model if _MODEL_NAME.fullmatch(self.request.model) else ""

    def routed(self, provider: str, attempt: int) -> None:
        """Router tries this provider."""
        self.provider = provider
        self.route = answer_headers.route_name(provider, attempt)

    def begun(self, dropped: Sequence[str]) -> None:
        """The answer's head is here."""
        self.dropped = tuple(dropped)

    def rates_left(self, rates: RatesLeft | None, unix_ms: int) -> None:
        """What budget said of the key's rates, if anything, and when."""
        if rates is not None:
            self.rates = self.exchange.face.rates(rates, unix_ms)

    def head_facts(self) -> Facts:
        """What is known when the first byte leaves: not yet the cost."""
        return Facts(
            trace_id=self.exchange.trace_id,
            request_id=self.exchange.request_id,
            cost_nano_usd=None,
            input_tokens=None,
            output_tokens=None,
            remaining_nano_usd=self.remaining_nano_usd,
            route=self.route or None,
            dropped_betas=self.dropped_betas,
            dropped=self.dropped,
            rates=self.rates,
        )

    def facts(self) -> Facts:
        """What is known at the end; an end that nobody told has no cost yet."""
        ended = self.outcome
        known = ended is None or ended.known
        usage = NOTHING if ended is None else ended.usage
        return Facts(
            trace_id=self.exchange.trace_id,
            request_id=self.exchange.request_id,
            cost_nano_usd=(0 if ended is None else ended.cost_nano_usd) if known else None,
            input_tokens=usage.total_input_tokens if known else None,
            output_tokens=usage.total_output_tokens if known else None,
            remaining_nano_usd=self.remaining_nano_usd,
            route=self.route or None,
            dropped_betas=self.dropped_betas,
            dropped=self.dropped,
            receipt=self.receipt,
            rates=self.rates,
        )
