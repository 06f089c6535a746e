"""What the models of a chat's many vendors want of a conversation, told by their names.

Of one that is not known here nothing is asked but what every server of the protocol takes.
"""

import re
from typing import Final

from tollgate_dialects.openai_chat import limits

# Their vendors refuse a turn of tools without what was thought before it, or think worse.
_WANTS_THINKING: Final = re.compile(
    r"deepseek|kimi|moonshot|(?<![a-z])glm-?\d|minimax|(?<![a-z])mimo-", re.IGNORECASE
)
# The same weights as Groq and Cerebras call them, who refuse what was thought; and models that were
# only taught by one of those.
_REFUSES_THINKING: Final = re.compile(r"zai-glm|qwen-3-|kimi-k2-instruct|distill", re.IGNORECASE)

_MISTRAL: Final = re.compile(
    r"mistral|ministral|codestral|devstral|magistral|mixtral|pixtral|voxtral", re.IGNORECASE
)


def is_mistral(model: str) -> bool:
    """Whether it is one of Mistral's, of whom servers refuse ids and orders that others take."""
    return _MISTRAL.search(model) is not None


def wants_thinking(model: str) -> bool:
    """Whether a model is to be told again in plain words what it thought."""
    if limits.is_openai(model) or _REFUSES_THINKING.search(model):
        return False
    return _WANTS_THINKING.search(model) is not None or limits.is_thinking_qwen(model)
