"""Other ways of serving a model: the same tokens, each at its rate times a factor of the model's.

Owns which there are, the member that asks for one and the words for it. The member that a vendor
tells the one by that it has served has the same name, and mostly the same word.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

# What an answer says of how it was served: members and their words.
Served: TypeAlias = tuple[tuple[str, str], ...]


class Variant(enum.Enum):
    """Its word, what it is called, the member that says it, its names there; must it be so."""

    # OpenAI: spare capacity, at Batch's price.
    FLEX = "flex", "Flex processing", "service_tier", ("flex",), False
    # OpenAI: Priority processing, called Fast mode since July 2026, may be served as the ordinary.
    PRIORITY = "priority", "Priority processing", "service_tier", ("priority", "fast"), False
    # Anthropic: the same model on faster machines.
    FAST = "fast", "Fast mode", "speed", ("fast",), False
    # Anthropic: within the United States alone, which nobody else's answer makes up for.
    US = "us", "Inference within the US", "inference_geo", ("us",), True

    def __init__(
        self,
        word: str,
        title: str,
        member: str,
        names: tuple[str, ...],
        is_binding: bool,  # noqa: FBT001 - see above
    ) -> None:
        self.word = word
        self.title = title
        self.member = member
        self.names = names
        self.is_binding = is_binding
        self.position = len(type(self).__members__)
        # The name of its factor in messages, tables and entries, and the option that sets it.
        self.factor_field = f"{word}_permille"
        self.option = f"--{word}"

    # Members are singletons: their identity is a hash, and Enum's own runs in Python.
    __hash__ = object.__hash__


# Not how something was served: the account decides.
_UNTOLD: Final = frozenset(("", "auto", "not_available"))
# The ordinary way, by the names that vendors give it.
_ORDINARY: Final = frozenset(
    (("service_tier", "default"), ("service_tier", "standard"), ("speed", "standard"),
     ("inference_geo", "global"))
)  # fmt: skip
_NAMED: Final = {(variant.member, name): variant for variant in Variant for name in variant.names}


def named(member: str, name: object) -> Variant | None:
    """The variant of a name; None for the ordinary way, and for what is not known."""
    return _NAMED.get((member, name)) if isinstance(name, str) else None


def is_known(member: str, name: str) -> bool:
    """Whether a word says how a call was served: as a variant, or in the ordinary way."""
    return (member, name) in _NAMED or (member, name) in _ORDINARY


def asked(document: Mapping[str, Any], members: Iterable[str]) -> tuple[Variant, ...]:
    """What a request asks for."""
    found: tuple[Variant, ...] = ()
    for member in members:
        if member in document and (variant := named(member, document[member])):
            found += (variant,)
    return found


def told(report: Mapping[str, Any], *members: str) -> Served:
    """What a report says of how the call was served."""
    found: Served = ()
    for member in members:
        if isinstance(name := report.get(member), str) and name not in _UNTOLD:
            found += ((member, name),)
    return found
