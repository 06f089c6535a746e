"""Lets tests/bench/profile.py profile a service without a line of it being changed.

Python imports this module at its start when its folder is in PYTHONPATH. SIGUSR2 starts the
profile, a second one writes it to $TOLLGATE_PROFILE/<module>.pstats.
"""

import cProfile
import os
import signal
import sys
from pathlib import Path


def _wait_for_signal(module: str, directory: Path) -> None:
    profile = cProfile.Profile()
    running = False

    def toggle(*_: object) -> None:
        nonlocal running
        running = not running
        if running:
            profile.enable()
            return
        profile.disable()
        # Whole or not at all: the reader waits for the name.
        unfinished = directory / f"{module}.unfinished"
        profile.dump_stats(unfinished)
        unfinished.rename(directory / f"{module}.pstats")

    signal.signal(signal.SIGUSR2, toggle)


if "TOLLGATE_PROFILE" in os.environ and "-m" in sys.orig_argv:
    _module = sys.orig_argv[sys.orig_argv.index("-m") + 1]
    if _module.startswith("tollgate_"):
        _wait_for_signal(_module, Path(os.environ["TOLLGATE_PROFILE"]))
