"""What is kept of an operator's request, so that a repeat of it is known. Pure.

Promises: the same id with the same content gets the same answer; with other content, whatever of
it differs, one error. Nothing can be read back from what is kept.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final

from tollgate_kit.rpc.failure import invalid_field, mismatch

_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """A request to change something. It is the same request if both fields are the same."""

    request_id: str
    content_sha256: bytes

    @classmethod
    def of(cls, request_id: str, content: bytes) -> "ChangeRequest":
        """Raises INVALID_FIELD for an id that is none."""
        if not _REQUEST_ID.fullmatch(request_id):
            raise invalid_field("request_id", "1 to 128 visible ASCII characters")
        return cls(request_id, hashlib.sha256(content).digest())

    @classmethod
    def of_message(cls, message: Any) -> "ChangeRequest":
        """That of an RPC's request. The caller leaves a secret out of the message first.

        Hashed by name and hash: router's rows, written before there was one form, follow from both.
        """
        name = message.DESCRIPTOR.full_name.encode()
        fields = hashlib.sha256(message.SerializeToString(deterministic=True)).digest()
        return cls.of(message.request_id, name + b"\0" + fields)


@dataclass(frozen=True, slots=True)
class Applied:
    """The change is durable, and this is its answer; `replayed` when it had been made before."""

    answer: bytes
    replayed: bool


def replay(request: ChangeRequest, kept: tuple[bytes, bytes] | None) -> Applied | None:
    """The answer that is kept under the request's id; None when the id is free.

    `kept` is the content_sha256 and the answer. Raises Failure IDEMPOTENCY_MISMATCH.
    """
    if kept is None:
        return None
    content_sha256, answer = kept
    if content_sha256 != request.content_sha256:
        raise mismatch(request.request_id, "content")
    return Applied(answer, replayed=True)
