"""A second demo provider, with a key of its own, for tests that need two."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tollgate_cli.suite.processes.ports import free_port


@contextlib.contextmanager
def second_provider(key_file: Path) -> Iterator[str]:
    """The URL of a running demo provider."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tollgate_cli.demo_provider",
         "--listen", f"127.0.0.1:{port}", "--key-file", str(key_file)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
