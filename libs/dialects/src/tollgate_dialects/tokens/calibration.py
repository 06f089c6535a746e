"""What is known of how vendors count their input, by the name of the model that is asked.

Owns the table. Promises nothing of a model that it does not know: such a one is bounded by bytes.
With `o200k` the text is counted as the vendor counts it; with `dearest` it is counted as the
dearest public vocabulary has it, and the share on top is what was measured of recorded traffic
(docs/bounds.md). What a vendor says to the model besides is the most that was measured, and some.
"""

import re
from typing import Final, NamedTuple

from tollgate_dialects.tokens import vocabulary
from tollgate_dialects.tokens.vocabulary import Count


class Calibration(NamedTuple):
    """Tokens, at most, of what a request has; added up they bound what is billed."""

    # As services name it to one another.
    word: str
    count: Count
    # Of the text, in hundredths.
    percent: int = 100
    # Of any request, and besides of one with instructions, thinking, a schema or tools.
    base: int = 8
    instructions: int = 0
    thinking: int = 0
    schema: int = 0
    tools: int = 0
    # Where it is asked as chats are; None: as anywhere.
    chat_tools: int | None = None
    # Ids of calls, and what a declaration says to the vendor's own checks, are not read.
    is_lean: bool = False
    # Bytes of thinking that only its vendor can read, for each of its tokens.
    opaque_bytes: int = 1

    def of_text(self, tokens: int) -> int:
        """So many as counted, with what the vendor's own vocabulary may have on top."""
        return -(-tokens * self.percent // 100)

    def of_tools(self, *, is_chat: bool) -> int:
        """What is said to the model where a request declares tools."""
        return self.chat_tools if is_chat and self.chat_tools is not None else self.tools

    def most(self, *, has_tools: bool) -> int:
        """What may be said besides, however the request is asked in the end."""
        told = self.base + self.instructions + self.thinking + self.schema
        return told + max(self.tools, self.chat_tools or 0) * has_tools


def _openai(word: str) -> Calibration:
    return Calibration(word, vocabulary.o200k, is_lean=True, opaque_bytes=4)


def _claude(word: str, percent: int, tools: int) -> Calibration:
    return Calibration(word, vocabulary.dearest, percent, 16, thinking=16, schema=160, tools=tools)


def _on_bedrock(name: str) -> str:
    return rf"((us|eu|apac|global)\.)?anthropic\.{name}{_DATE}(-v\d)?(:0)?"


# Without those that hear or speak, search by themselves, or were not measured.
_GPT_5: Final = r"gpt-5(\.\d)?(-mini|-nano|-codex|-chat-latest|-luna|-sol|-terra)?"
_GPT_4O: Final = r"(chatgpt-4o-latest|gpt-4o(-mini)?|gpt-4\.1(-mini|-nano)?)"
_DATE: Final = r"(-\d{4}-?\d{2}-?\d{2})?"
_CLAUDE: Final = r"claude-(3(-[57])?-(haiku|sonnet|opus)|(haiku|sonnet|opus)-4(-[0156])?)(-latest)?"
# Since opus 4.7 their text has up to a third more tokens.
_CLAUDE_5: Final = r"claude-(opus-4-[78]|(haiku|sonnet|opus|fable)-5(-\d)?)"

_MEASURED: Final = (
    (_GPT_5, _openai("gpt-5")._replace(tools=24, chat_tools=96)),
    (r"(o1|o3(-mini)?|o4-mini)", _openai("gpt-o")._replace(thinking=64, tools=112)),
    (_GPT_4O, _openai("gpt-4o")._replace(instructions=24, tools=224, chat_tools=24)),
    (r"gpt-3\.5-turbo|gpt-4(-turbo)?", Calibration("gpt-4", vocabulary.dearest, tools=8)),
    (_CLAUDE, _claude("claude", 115, tools=640)),
    (_CLAUDE_5, _claude("claude-5", 140, tools=640)),
    (_on_bedrock(_CLAUDE), _claude("claude-bedrock", 115, tools=1_250)._replace(base=160)),
    (_on_bedrock(_CLAUDE_5), _claude("claude-5-bedrock", 140, tools=1_250)._replace(base=160)),
    (r"gemini-[23](\.\d)?-(pro|flash)(-lite)?(-preview)?",
     Calibration("gemini", vocabulary.dearest, 110, 16, schema=16, tools=48)),
    (r"deepseek-(chat|reasoner)",
     Calibration("deepseek", vocabulary.dearest, 110, thinking=16, tools=240)),
    (r"deepseek-v4-(flash|pro)",
     Calibration("deepseek-4", vocabulary.dearest, 110, 104, schema=64, tools=320)),
)  # fmt: skip
_PATTERNS: Final = tuple((re.compile(f"(?:{name}){_DATE}"), found) for name, found in _MEASURED)
# By their words; none where nothing can be counted.
BY_WORD: Final = {
    calibration.word: calibration for _, calibration in _MEASURED if vocabulary.IS_AVAILABLE
}


def of_model(upstream_model: str) -> Calibration | None:
    """What is known of a model; None: nothing."""
    name = upstream_model.removeprefix("models/")
    words = (known.word for pattern, known in _PATTERNS if pattern.fullmatch(name))
    return BY_WORD.get(next(words, ""))
