"""What a client protocol is to the pipeline: its dialect, how it lists models and tells rates.

Owns the shape; the files beside it fill it. Never decides about a call.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.dialect import Dialect
from tollgate_edge.errors.rates_left import RatesLeft
from tollgate_edge.headers import rate_headers
from tollgate_edge.headers.answer_headers import Headers


@dataclass(frozen=True, slots=True)
class Face:
    """One protocol that clients speak."""

    dialect: Dialect
    # The answers to GET /v1/models and to GET /v1/models/{id}, of the catalogue's models.
    models: Callable[[Iterable[Any]], dict[str, Any]]
    model: Callable[[Any], dict[str, Any]]
    # How a count of tokens is told, and where below the path of its calls it is asked for.
    counted: Callable[[int], dict[str, Any]] = lambda tokens: {"input_tokens": tokens}
    count_path: str = "/count_tokens"
    # What is left of the key's rates, at an instant, as headers of an answer.
    rates: Callable[[RatesLeft, int], Headers] = rate_headers.none

    # Its name in the catalogue, in entries and in metrics.
    protocol: Protocol = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "protocol", self.dialect.protocol)

    @property
    def path(self) -> str:
        """Where its calls are made."""
        return self.dialect.endpoint.path

    @property
    def paths(self) -> tuple[str, ...]:
        """The same, with all others where they may be made."""
        return (self.path, *self.dialect.endpoint.other_paths)
