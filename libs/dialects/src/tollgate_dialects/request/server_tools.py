"""Tools of a request that run at the vendor: what a call with them may cost beside its own tokens.

The vendor makes the calls itself, within one request: each is followed by one more reading of the
input, with what the call brought. Owns the facts of it; which tools there are, their dialect knows.
"""

from typing import Final, NamedTuple

# Calls that are allowed where a client sets no limit: written into the request that goes upstream.
DEFAULT_CALLS: Final = 5
# More than any client asks for; keeps every product far inside 64 bits.
MAX_CALLS: Final = 1_000
# Nobody says how much a call brings: the model's own input limit bounds what a reading holds.
UNTOLD_TOKENS: Final = 1_000_000_000


class InEach(NamedTuple):
    """A member to set in the objects of an array that are of some types and have no such member.

    The value is as it is written.
    """

    name: str
    value: bytes
    types: frozenset[str]


class ServerTools(NamedTuple):
    """What the vendor may do on its own within one request."""

    # Searches of the web, each with a price of its own.
    searches: int = 0
    # Machines that code is run on, each with a price of its own.
    containers: int = 0
    # How often the input is read at most, the first time included.
    readings: int = 1
    # What a reading but the first holds at most, if that is more than the request; 0: nothing is
    # brought but what the request holds already, and what the model has written stands behind it.
    reading_tokens: int = 0
    # Whether the output limit is for each turn of the vendor's loop instead of for all.
    is_limit_per_turn: bool = False
    # What is written into the request for a limit that the client did not set, by the member at
    # the top.
    limit: tuple[str, bytes | InEach] | None = None
    # Without these tools the request makes no sense.
    are_required: bool = False
    # The member by which a client limits the calls.
    limited_by: str = ""


NO_SERVER_TOOLS: Final = ServerTools()
