"""What is known of how vendors count their input, by the name of the model that is asked.

Owns the table. Promises nothing of a model that it does not know: such a one is bounded by bytes.
With `o200k` the text is counted as the vendor counts it; with `dearest` it is counted as the
dearest public vocabulary has it, and the share on top is what was measured of recorded traffic
(docs/bounds.md). What a vendor says to the model besides is what it publishes, else the most that
was measured, and some. Pictures are what the vendor's own rule makes of them.
"""

import re
from typing import Final, NamedTuple

from tollgate_dialects.tokens import pictures, vocabulary
from tollgate_dialects.tokens.vocabulary import Count


class Calibration(NamedTuple):
    """Tokens, at most, of what a request has; added up they bound what is billed."""

    # As services name it to one another: a family, and what of it has pictures or tools of its own.
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
    # Instead of `tools`, where they are asked for as chats do, or where one has to be called; and
    # at least, where there are instructions, or the answer is streamed. None: as anywhere.
    chat_tools: int | None = None
    forced_tools: int | None = None
    instructed_tools: int | None = None
    # Ids of calls, and what a declaration says to the vendor's own checks, are not read.
    is_lean: bool = False
    # Bytes of thinking that only its vendor can read, for each of its tokens; and those that each
    # piece of it has besides.
    opaque_bytes: int = 1
    opaque_frame_bytes: int = 0
    # Whether it reads none of what was thought before the last word of its user.
    forgets_thinking: bool = False
    picture: pictures.Rule = pictures.dearest
    # Whether a picture that the vendor fetches itself is no more than the largest it takes.
    fetches_pictures: bool = False

    def of_text(self, tokens: int) -> int:
        """So many as counted, with what the vendor's own vocabulary may have on top."""
        return -(-tokens * self.percent // 100)

    def of_opaque(self, length: int) -> int:
        """Of so many bytes of thinking that nobody else can read."""
        return max(-(-(length - self.opaque_frame_bytes) // self.opaque_bytes), 0)

    def of_tools(self, *, is_chat: bool, is_forced: bool, is_instructed: bool) -> int:
        """What is said to the model where a request declares tools."""
        if is_chat and self.chat_tools is not None:
            return self.chat_tools
        if is_forced and self.forced_tools is not None:
            return self.forced_tools
        return max(self.tools, self.instructed_tools or 0) if is_instructed else self.tools

    def most(self, *, has_tools: bool) -> int:
        """What may be said besides, however the request is asked in the end."""
        told = self.base + self.instructions + self.thinking + self.schema
        tools = (self.tools, self.chat_tools, self.forced_tools, self.instructed_tools)
        return told + max(count or 0 for count in tools) * has_tools


def _openai(word: str, picture: pictures.Rule) -> Calibration:
    known = Calibration(word, vocabulary.o200k, is_lean=True, opaque_bytes=5)
    known = known._replace(opaque_frame_bytes=512, forgets_thinking=True)
    return known._replace(picture=picture, fetches_pictures=True)


def _gpt_5(word: str, picture: pictures.Rule) -> Calibration:
    return _openai(f"gpt-5{word}", picture)._replace(tools=24, chat_tools=96)


def _gpt_4o(word: str, picture: pictures.Rule) -> Calibration:
    known = _openai(f"gpt-4o{word}", picture)
    return known._replace(instructions=24, tools=24, chat_tools=24, instructed_tools=224)


def _gpt_o(word: str, picture: pictures.Rule) -> Calibration:
    return _openai(f"gpt-o{word}", picture)._replace(thinking=64, tools=112)


def _claude(word: str, percent: int, tools: int, forced_tools: int) -> Calibration:
    """The prompt that comes with tools is what Anthropic publishes, and some tokens on top."""
    known = Calibration(word, vocabulary.dearest, percent, 16, thinking=16, schema=160)
    return known._replace(
        tools=tools,
        forced_tools=forced_tools,
        opaque_bytes=3,
        picture=pictures.claude(_CLAUDE_PICTURE if percent < _PERCENT_5 else _CLAUDE_5_PICTURE),
        fetches_pictures=True,
    )


def _bedrock(word: str, percent: int) -> Calibration:
    return _claude(word, percent, 1_250, 1_250)._replace(base=160)


def _gemini(word: str, picture: pictures.Rule) -> Calibration:
    known = Calibration(word, vocabulary.dearest, 110, 6, schema=48, tools=24, is_lean=True)
    return known._replace(opaque_bytes=4, picture=picture)


_DATE: Final = r"(-\d{4}-?\d{2}-?\d{2})?"


def _on_bedrock(name: str) -> str:
    return rf"((us|eu|apac|global)\.)?anthropic\.{name}{_DATE}(-v\d)?(:0)?"


# Without those that hear or speak, search by themselves, or were not measured.
_KINDS: Final = "(-mini|-nano|-codex|-chat-latest|-luna|-sol|-terra)?"
_GEMINI: Final = r"(\.\d)?-(pro|flash)(-lite)?(-preview)?"
# Since opus 4.7 Claude's text has up to a third more tokens, and its pictures may be larger.
_PERCENT, _PERCENT_5 = 115, 140
_CLAUDE_PICTURE, _CLAUDE_5_PICTURE = 1_600, 4_784
_CLAUDE_3_OPUS: Final = "claude-3-opus(-latest)?"
_CLAUDE_4: Final = "claude-(3(-[57])?-(haiku|sonnet)|(sonnet|opus)-4(-[01])?)(-latest)?"
_CLAUDE_4_6: Final = "claude-(haiku|sonnet|opus)-4-[56](-latest)?"
_CLAUDE_5: Final = "claude-(opus-4-8|(sonnet|opus|fable)-5)"
# Those whose tools' prompt nobody has measured, with the longest that is published.
_CLAUDE_5_MOST: Final = r"claude-(opus-4-7|haiku-5|(haiku|sonnet|opus|fable)-5-\d)"
_CLAUDES: Final = f"({_CLAUDE_3_OPUS}|{_CLAUDE_4}|{_CLAUDE_4_6})"
_CLAUDES_5: Final = f"({_CLAUDE_5}|{_CLAUDE_5_MOST})"

_MEASURED: Final = (
    (r"gpt-5(\.1)?(-chat-latest)?", _gpt_5("", pictures.tiles(70, 140))),
    ("gpt-5-nano", _gpt_5("/nano", pictures.patches(150, pictures.WIDE))),
    (r"gpt-5-mini|gpt-5\.[23](-codex)?", _gpt_5("/mini", pictures.patches(120, pictures.WIDE))),
    (rf"gpt-5\.4{_KINDS}", _gpt_5("/5.4", pictures.GPT_5_4)),
    (rf"gpt-5\.5{_KINDS}", _gpt_5("/5.5", pictures.GPT_5_5)),
    (rf"gpt-5(\.\d)?{_KINDS}", _gpt_5("/5.6", pictures.GPT_5_6)._replace(forgets_thinking=False)),
    (r"o1|o3(-mini)?", _gpt_o("", pictures.tiles(75, 150))),
    ("o4-mini", _gpt_o("/o4", pictures.patches(172, pictures.WIDE))),
    (r"chatgpt-4o-latest|gpt-4o|gpt-4\.1", _gpt_4o("", pictures.tiles(85, 170))),
    ("gpt-4o-mini", _gpt_4o("/mini", pictures.GPT_4O_MINI)),
    (r"gpt-4\.1-mini", _gpt_4o("/4.1-mini", pictures.patches(162, pictures.WIDE))),
    (r"gpt-4\.1-nano", _gpt_4o("/4.1-nano", pictures.patches(246, pictures.WIDE))),
    (r"gpt-3\.5-turbo|gpt-4(-turbo)?",
     Calibration("gpt-4", vocabulary.dearest, tools=8, picture=pictures.tiles(85, 170))),
    (_CLAUDE_3_OPUS, _claude("claude/3-opus", _PERCENT, 544, 288)),
    (_CLAUDE_4, _claude("claude/4", _PERCENT, 360, 368)),
    (_CLAUDE_4_6, _claude("claude", _PERCENT, 512, 608)),
    # 95 tokens more were billed than that.
    (_CLAUDE_5, _claude("claude-5", _PERCENT_5, 480, 600)),
    (_CLAUDE_5_MOST, _claude("claude-5/most", _PERCENT_5, 800, 928)),
    (_on_bedrock(_CLAUDES), _bedrock("claude-bedrock", _PERCENT)),
    (_on_bedrock(_CLAUDES_5), _bedrock("claude-5-bedrock", _PERCENT_5)),
    (f"gemini-2{_GEMINI}", _gemini("gemini/2", pictures.gemini_tiles)),
    (f"gemini-3{_GEMINI}", _gemini("gemini", pictures.gemini_levels)),
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
