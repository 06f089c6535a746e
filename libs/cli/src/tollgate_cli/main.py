"""The `tollgate` command: how it begins, and how it fails (two lines, no traceback, exit 1)."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn

from tollgate_cli import hint
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home

# As shells have it for a program that Ctrl-C ended.
_INTERRUPTED = 130


def main() -> None:
    """The entry point."""
    with _ended_at_once():
        # Most of a second, in which Ctrl-C would meet modules that are half loaded.
        from tollgate_cli.application import app
        from tollgate_cli.suite import failure_text
        from tollgate_kit.keyring.base import KeyringFault
    try:
        app()
    except Fault as fault:
        _fail(fault)
    except KeyringFault as fault:
        _fail(Fault(str(fault)))
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        # Whatever the system refuses is about a file, and no bug of this program.
        _fail(failure_text.of_os_error(error, Home.from_environment().root))
    except SystemExit as ended:
        # It is typer that meets the interrupt, and says nothing.
        if ended.code == _INTERRUPTED:
            print("tollgate: interrupted", file=sys.stderr)
        raise


@contextlib.contextmanager
def _ended_at_once() -> Iterator[None]:
    """Ctrl-C ends the process without further ado; not where it is ignored, or heard otherwise."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: object) -> NoReturn:
    os.write(2, b"tollgate: interrupted\n")
    os._exit(_INTERRUPTED)


def _fail(fault: Fault) -> NoReturn:
    print(f"tollgate: {hint.typed(fault.problem)}", file=sys.stderr)
    if fault.remedy:
        print(f"  {hint.typed(fault.remedy)}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
