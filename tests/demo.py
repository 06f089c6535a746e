"""A demo provider in a process of its own, for tests that want it without a suite, or a second."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def running(key_file: Path, *options: str) -> Iterator[str]:
    """The URL of a provider that takes the key in the file; it must end well."""
    command = [sys.executable, "-m", "tollgate_cli.demo_provider", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, "--key-file", str(key_file), *options], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield "http://" + re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())[0]
        finally:
            process.terminate()
            assert 0 == process.wait(10)
