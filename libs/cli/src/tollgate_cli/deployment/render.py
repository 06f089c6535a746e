"""Writes what the topology decides into the files of a checkout: `make topology`.

Promises: only values and marked parts change, people's comments and settings stay; the same
topology gives the same bytes; nothing is written while anything is wrong.
"""

import argparse
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from tollgate_cli.deployment import compose, configs, topology_file
from tollgate_cli.deployment.containers import Containers
from tollgate_cli.deployment.toml_values import with_values
from tollgate_cli.deployment.topology import Topology
from tollgate_cli.fault import Fault

SOURCE = "deploy/topology.toml"
_PART = re.compile(
    r"^( *)# topology: (?!end\n)([\w-]+)\n(.*?)^ *# topology: end\n", re.DOTALL | re.MULTILINE
)


def rendered(root: Path, topology: Topology) -> dict[Path, str]:
    """Each file below a checkout that says what the topology says, as it ought to be.

    Raises ValueError with every file that has lost a mark or lacks a table, and OSError.
    """
    files: dict[Path, str] = {}
    faults: list[str] = []
    for path, render in _renderers(root, topology):
        try:
            # A file that is not there lacks every table.
            files[path] = render(path.read_text() if path.exists() else "")
        except ValueError as error:
            faults.append(f"{path}: {error}")
    if faults:
        raise ValueError("\n".join(faults))
    return files


def _renderers(root: Path, topology: Topology) -> Iterator[tuple[Path, Callable[[str], str]]]:
    owners = topology.database_owners.items()
    databases = " ".join(f"{name}:{owner}" for name, owner in owners)
    parts = {"databases": f'databases="{databases}"'}
    yield root / "docker-compose.yml", partial(_with_parts, compose.parts(topology))
    yield root / "deploy/postgres/create-databases.sh", partial(_with_parts, parts)
    places = Containers(topology)
    for name in topology.contained:
        document = configs.document(topology, places, name)
        render = partial(with_values, document, owned=frozenset({"rpc.allow"}))
        yield root / "deploy/config" / f"{name}.toml", render


def _with_parts(parts: Mapping[str, str], text: str) -> str:
    found = [part[2] for part in _PART.finditer(text)]
    if sorted(found) != sorted(parts):
        differ = ", ".join(sorted(set(found) ^ set(parts))) or "one stands twice"
        raise ValueError(f"its marks `# topology: …` are not those of the topology: {differ}")

    def replaced(part: re.Match[str]) -> str:
        body = textwrap.indent(parts[part[2]], part[1])
        return f"{part[1]}# topology: {part[2]}\n{body}\n{part[1]}# topology: end\n"

    return _PART.sub(replaced, text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tollgate_cli.deployment.render")
    parser.add_argument("checkout", type=Path, nargs="?", default=Path())
    root: Path = parser.parse_args().checkout
    try:
        files = rendered(root, topology_file.load(root / SOURCE))
        changed = {path: text for path, text in files.items() if text != path.read_text()}
        for path, text in changed.items():
            path.write_text(text)
    except (OSError, ValueError, Fault) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(f"written: {path}" for path in changed) or "everything says so already")
    return 0


if __name__ == "__main__":
    sys.exit(main())
