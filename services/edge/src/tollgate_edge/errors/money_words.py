"""What a client without an answer is told of money: what was missing, what became of it. Pure."""

from dataclasses import dataclass
from types import MappingProxyType

from tollgate_edge.errors.money import usd


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The account that refused a call, as its owner may know it; amounts are nano-USD."""

    account_id: str
    remaining_nano_usd: int
    # By calls in flight.
    held_nano_usd: int
    # The most that the call may cost; None for one whose body was not read.
    required_nano_usd: int | None
    # Of the web, that the vendor may make within the call, and what a client limits them by.
    searches: int = 0
    limited_by: str = ""

    @property
    def words(self) -> str:
        said = f" {self.account_id} has {usd(self.remaining_nano_usd)} USD left"
        if self.held_nano_usd:
            said += f", {usd(self.held_nano_usd)} USD held by calls in flight"
        if self.required_nano_usd is not None:
            said += f"; this call may cost {usd(self.required_nano_usd)} USD"
        if self.searches > 1:
            said += (
                f", with up to {self.searches} searches of the web"
                f"; a smaller {self.limited_by} makes it cheaper"
            )
        elif self.searches:
            said += ", with a search of the web; without that it is cheaper"
        return said + "."


# What a client is told of the money of a call that was made and has no answer.
CHARGED = "charged"
FREE = "free"
UNKNOWN_CHARGE = "unknown"
CHARGES = MappingProxyType(
    {
        CHARGED: " What the model produced is charged.",
        FREE: "",
        UNKNOWN_CHARGE: " What the call cost is not known yet; its reservation stays held.",
    }
)
