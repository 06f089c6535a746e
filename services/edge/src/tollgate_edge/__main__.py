"""python -m tollgate_edge ROLE --config FILE. Each role is a process with its own identity."""

import argparse
import sys
from pathlib import Path

from tollgate_edge import api_role
from tollgate_edge.config import EdgeApiConfig
from tollgate_kit import config, lifecycle
from tollgate_kit.logs import Log


def main() -> int:
    """Read the command line and run one role."""
    parser = argparse.ArgumentParser(prog="tollgate_edge")
    parser.add_argument("role", choices=["api"])
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args()
    settings = config.load_or_exit(arguments.config, EdgeApiConfig)
    log = Log(api_role.IDENTITY)
    return lifecycle.run(lambda life: api_role.serve(settings, life, log), log)


if __name__ == "__main__":
    sys.exit(main())
