import asyncio

import pytest

from tollgate.common.v1 import session_pb2
from tollgate_kit.rpc import outbox as session_outbox
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.rpc.outbox import Outbox


def frame(number: int) -> session_pb2.Frame:
    return session_pb2.Frame(call_id=number)


async def test_what_is_queued_in_one_turn_leaves_in_one_batch_in_order():
    """Frames put in one turn of the loop share a write, in the order they were put."""
    outbox = Outbox()
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    for number in range(5):
        outbox.put(frame(number))
    assert [0, 1, 2, 3, 4] == [f.call_id for f in await taking]


async def test_a_batch_is_bounded_in_frames_and_bytes():
    """No write carries more than 256 frames, nor goes on after 1 MiB; nothing is lost between."""
    outbox = Outbox()
    for number in range(300):
        outbox.put(frame(number), 1)
    sizes = [len(await outbox.take()), len(await outbox.take())]
    for number in range(4):
        outbox.put(frame(number), 700 * 1024)
    sizes += [len(await outbox.take()), len(await outbox.take())]
    assert [256, 44, 2, 2] == sizes


async def test_a_peer_that_does_not_read_is_refused_more_but_told_the_end():
    """Past the bound a payload is refused as OVERLOADED; an end, which has none, still fits."""
    outbox = Outbox()
    half = session_outbox.WAITING_BYTES_MAX // 2
    outbox.put(frame(1), half)
    outbox.put(frame(2), half)
    with pytest.raises(Failure, match="OVERLOADED"):
        outbox.put(frame(3), 1)
    outbox.put(frame(4))
    assert [1] == [f.call_id for f in await outbox.take()]
    outbox.put(frame(5), 1)
    assert [2] == [f.call_id for f in await outbox.take()]
    assert [4, 5] == [f.call_id for f in await outbox.take()]


async def test_a_closed_outbox_ends_the_writer():
    """After close() what was queued still leaves, then take() gives nothing."""
    outbox = Outbox()
    outbox.put(frame(1))
    outbox.close()
    assert ([1], []) == ([f.call_id for f in await outbox.take()], await outbox.take())


async def test_only_a_frame_that_has_not_left_may_still_be_changed():
    """The last frame that waits is known as such until another is put, or a write takes it."""
    outbox = Outbox()
    first, second = frame(1), frame(1)
    outbox.put(first)
    assert outbox.holds_last(first)
    outbox.put(second)
    assert not outbox.holds_last(first)
    assert outbox.holds_last(second)
    await outbox.take()
    assert not outbox.holds_last(second)
