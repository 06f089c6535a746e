"""Which limit a model keeps to.

`max_tokens` ends an answer alone. `max_completion_tokens` ends the thinking as well, and is known
by newer models alone: others go on as if it were not there.
"""

import re
from typing import Final

# Qwen 4 and later; a number before a b counts weights.
LATER: Final = r"qwen-?(?:[4-9]|\d\d)(?![.\d]*-?b)"
_LIMITED_WHOLE = re.compile(
    rf"{LATER}|qwen-?3\.(?:[5-9]-plus|[7-9]-max)|kimi-k(?:2\.[5-9]|[3-9])|glm-(?:[5-9]|\d\d)"
    r"|minimax-m(?:2\.[5-9]|[3-9])|deepseek-v(?:[4-9]|\d\d)",
    re.IGNORECASE,
)
_QWEN = re.compile(r"qwen|qwq|qvq", re.IGNORECASE)


def is_limited_whole(model: str) -> bool:
    """Whether a model takes a limit for all that it gives."""
    return _LIMITED_WHOLE.search(model) is not None


def is_qwen(model: str) -> bool:
    """Whether a name is that of one of Alibaba's own."""
    return _QWEN.search(model) is not None
