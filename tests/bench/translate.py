"""`python -m tests.bench.translate`: what an event of a stream costs, passed on and translated.

One stream of 40 words for each pair of protocols, as an upstream of the one writes it, through the
meter alone (same protocol) and through meter and translator. CPU time of this process, the best of
several runs; a table in Markdown. Ends within 20 seconds.
"""

import time
from collections.abc import Callable

from tests.bench.canned import WORDS
from tollgate_dialects.answer.meter import StreamMeter
from tollgate_dialects.answer.template import Shapes
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.conversation.answer import (
    Delta,
    Ending,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    Started,
    Stop,
)
from tollgate_dialects.conversation.parts import Text
from tollgate_dialects.conversation.request import Request, Turn
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import NO_TRANSLATION, Context
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.registry import DIALECTS

_RUNS = 15
_STREAMS_A_RUN = 10
_USAGE = Usage.of(input_tokens=57, output_tokens=len(WORDS))
_EVENTS: tuple[Event, ...] = (
    Started("a", "m"),
    PartStarted(Text("")),
    *(Delta(word) for word in WORDS),
    PartEnded(),
    Finished(Ending(Stop.END)),
)
PROTOCOLS = tuple(p for p, dialect in DIALECTS.items() if dialect.translation is not NO_TRANSLATION)


def _context() -> Context:
    asked = Request(model="m", turns=(Turn("user", (Text("hi"),)),), stream=True)
    return Context(request=asked, trace="a0" * 16, created_s=1, estimated_input_tokens=57)


def frames(protocol: Protocol) -> list[bytes]:
    """The stream as an upstream of a protocol writes it, a write for each event."""
    writer = DIALECTS[protocol].translation.event_writer(_context())
    return [frame for event in _EVENTS if (frame := writer.write(event, _USAGE))]


def told(source: Protocol, target: Protocol, stream: list[bytes], shapes: Shapes) -> bytes:
    """What a client of the target gets of it."""
    meter = StreamMeter(DIALECTS[source].answer, shapes=shapes)
    if source is target:
        return b"".join(map(meter.feed, stream)) + meter.finish()
    translator = StreamTranslator(
        DIALECTS[source].translation.event_reader(),
        DIALECTS[target].translation.event_writer(_context()),
    )
    out = [translator.feed(meter.feed(frame), meter.reported) for frame in stream]
    out.append(translator.feed(meter.finish(), meter.reported))
    assert translator.finished
    return b"".join(out)


def _best_ns(work: Callable[[], object]) -> int:
    best = 0
    for _ in range(_RUNS):
        began = time.process_time_ns()
        for _ in range(_STREAMS_A_RUN):
            work()
        spent = (time.process_time_ns() - began) // _STREAMS_A_RUN
        best = min(best or spent, spent)
    return best


def measured(source: Protocol, target: Protocol) -> int:
    """CPU nanoseconds for each of the stream's text events."""
    stream, shapes = frames(source), Shapes()
    return _best_ns(lambda: told(source, target, stream, shapes)) // len(WORDS)


def main() -> None:
    """Print the table: upstreams down, clients across."""
    print("| upstream \\ client, ns an event | " + " | ".join(p.value for p in PROTOCOLS) + " |")
    print("|---|" + "---|" * len(PROTOCOLS))
    for source in PROTOCOLS:
        row = " | ".join(f"{measured(source, target):,}" for target in PROTOCOLS)
        print(f"| {source.value} | {row} |")


if __name__ == "__main__":
    main()
