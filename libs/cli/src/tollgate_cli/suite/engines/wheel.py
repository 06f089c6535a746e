"""Where an installed wheel's files are, found without importing it.

Both engine wheels do more on import than this suite wants (choose directories, warn, patch).
"""

import importlib.util
from pathlib import Path

from tollgate_cli.fault import Fault


def folder(package: str) -> Path:
    """The folder of an installed package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise Fault(f"the package {package} is not installed", "run `make setup`")
    return Path(spec.origin).parent
