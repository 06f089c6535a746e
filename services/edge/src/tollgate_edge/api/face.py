"""What a client protocol is to the pipeline: its names, its error shapes, its stream's end.

Owns the shape; openai_api.py and anthropic_api.py fill it. Never decides about a call.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tollgate_dialects.common.protocol import Protocol


@dataclass(frozen=True, slots=True)
class Face:
    """One protocol that clients speak."""

    protocol: Protocol
    path: str
    # HTTP status → error.type in the protocol's vocabulary.
    error_kinds: Mapping[int, str]
    # An error body as the event that ends a broken stream.
    error_event: Callable[[bytes], bytes]
    # Request headers of the protocol that go on to the upstream.
    forwards: tuple[str, ...] = ()

    def error_kind(self, status: int) -> str:
        """error.type for a status."""
        kind = self.error_kinds.get(status)
        return kind if kind is not None else self.error_kinds[500 if status >= 500 else 400]  # noqa: PLR2004 - HTTP's classes
