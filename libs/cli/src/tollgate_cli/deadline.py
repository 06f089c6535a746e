"""Ends a wait for what has no bound of its own, as a server that sends a byte now and then."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Return what `work` returns, or raise what it raises.

    Raises TimeoutError when it takes longer; it then goes on in a thread that holds up no exit.
    """
    ended: Future[Result] = Future()

    def run() -> None:
        try:
            ended.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whatever it is, who waits is told
            ended.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return ended.result(timeout=seconds)
