"""Temperature and its like, as far as a Claude takes them."""

from typing import Final, NamedTuple

from tollgate_dialects.claude.models import Model
from tollgate_dialects.conversation.request import Request

# Where thinking is on, a lower share is refused.
_LEAST_TOP_P: Final = 0.95


class Sampling(NamedTuple):
    """What is sent; None: it is not."""

    temperature: float | None
    top_p: float | None
    top_k: int | None


def kept(request: Request, model: Model, dropped: set[str], *, is_thinking: bool) -> Sampling:
    """What the model takes of what was asked; the rest is added to `dropped`."""
    temperature, top_p, top_k = request.temperature, request.top_p, request.top_k
    is_usual = temperature == 1 and model.takes_sampling
    if temperature is not None and not is_usual and (is_thinking or not model.takes_sampling):
        if temperature != 1:
            dropped.add("temperature")
        temperature = None
    elif temperature is not None and not 0 <= temperature <= 1:
        dropped.add("temperature")
        temperature = min(max(temperature, 0.0), 1.0)
    is_low = top_p is not None and is_thinking and top_p < _LEAST_TOP_P
    is_second = temperature is not None and model.takes_one_sampling
    if top_p is not None and (is_low or is_second or not model.takes_sampling):
        if top_p != 1:
            dropped.add("top_p")
        top_p = None
    if top_k is not None and (is_thinking or not model.takes_sampling):
        dropped.add("top_k")
        top_k = None
    return Sampling(temperature, top_p, top_k)
