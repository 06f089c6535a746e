"""The house rules as an ordinary test: size, notes, docstrings, hosts and paths, settings.

Generated stubs and locks are left out: nobody writes them. Each rule collects everything that
breaks it, so that one run shows all there is to do.
"""

import ast
import collections
import dataclasses
import functools
import importlib
import re
import subprocess
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tollgate_kit.secret import Secret

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
FOLDER_MODULES_MAX = 15
SERVICES = ("authz", "budget", "router", "audit", "edge")

GENERATED = re.compile(
    r"_pb2(_grpc)?\.pyi?$|\.lock$|(^|/)go\.(mod|sum)$|(^|/)released\.json$|^LICENSE$"
)
# Written in pieces, so that this file is not its own finding.
NOTE = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
PATH = re.compile(r"(?<![\w.~}>)/-])/(?:work|root|Users|home)/\w")
HOST = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in (
            ("pypi", "org"),
            ("python" + "hosted", "org"),
            ("npmjs", "org"),
            ("yarnpkg", "com"),
            ("golang", "org"),
        )
    )
    + r"|index-"
    + r"url"
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@functools.cache
def tracked() -> tuple[Path, ...]:
    """Every file that people write: known to git, or about to be, and not generated."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    names = (name for name in listed if name and not GENERATED.search(name))
    return tuple(ROOT / name for name in names if (ROOT / name).is_file())


@functools.cache
def text(path: Path) -> str:
    """A file's text; empty for what is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(text(path), filename=str(path))


def sources() -> Iterator[Path]:
    return (path for path in tracked() if path.suffix == ".py")


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(tree(path)):
        if isinstance(node, Function):
            yield node


def place(path: Path, line: int | None = None) -> str:
    name = str(path.relative_to(ROOT))
    return name if line is None else f"{name}:{line}"


def found(pattern: re.Pattern[str]) -> list[str]:
    """Where a pattern occurs in what people write."""
    return [
        place(path, number)
        for path in tracked()
        if pattern.search(text(path))
        for number, line in enumerate(text(path).splitlines(), 1)
        if pattern.search(line)
    ]


def test_files_are_short():
    """A source file has at most 400 lines: what is longer owns more than one thing."""
    long = [(place(p), len(text(p).splitlines())) for p in sources()]
    assert [] == [(name, lines) for name, lines in long if lines > FILE_LINES_MAX]


def test_folders_are_small():
    """A folder of a library or a service has at most 15 modules: one more is a part of its own."""
    modules = (path for path in sources() if ROOT / "tests" not in path.parents)
    folders = collections.Counter(
        place(path.parent) for path in modules if path.name != "__init__.py"
    )
    assert len(folders) > 20
    assert {} == {name: n for name, n in folders.items() if n > FOLDER_MODULES_MAX}


def test_functions_are_short():
    """A function has at most 60 lines, signature and docstring included."""
    assert [] == [
        (place(path, node.lineno), node.name, lines)
        for path in sources()
        for node in functions(path)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]


def test_no_naked_notes():
    """What is left to do is an issue, not a note in a file."""
    assert [] == found(NOTE)


def test_every_test_states_its_promise():
    """Each test's docstring says what holds when it passes."""
    assert [] == [
        (place(path, node.lineno), node.name)
        for path in sources()
        if path.relative_to(ROOT).parts[0] == "tests" and path.name.startswith("test_")
        for node in functions(path)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]


def test_no_path_of_one_machine():
    """Nothing tracked names a directory that exists on its author's machine only."""
    assert [] == found(PATH)


def test_no_registry_host():
    """Where packages come from is each machine's own setting."""
    assert [] == found(HOST)


class Setting(typing.NamedTuple):
    """One name that a configuration file may set."""

    name: str  # dotted, as in the file
    field: str
    free: bool  # a table whose keys are the operator's own, such as [rpc.allow]


def settings(cls: type, prefix: str = "") -> Iterator[Setting]:
    """Each setting of a configuration, those of its tables included."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        kinds = (kind, *typing.get_args(kind))
        free = typing.get_origin(kind) is dict
        yield Setting(f"{prefix}{field.name}{'_file' if Secret in kinds else ''}", field.name, free)
        for table in kinds:
            if not free and isinstance(table, type) and dataclasses.is_dataclass(table):
                yield from settings(table, f"{prefix}{field.name}.")


def config_roots(module: ModuleType) -> list[type]:
    """The dataclasses of a config module that no other of them holds: one a file."""
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and dataclasses.is_dataclass(value)
        and value.__module__ == module.__name__
    ]
    held = {
        arm
        for cls in own
        for kind in typing.get_type_hints(cls).values()
        for arm in (kind, *typing.get_args(kind))
        if isinstance(arm, type)
    }
    return [cls for cls in own if cls not in held]


def documented(path: Path) -> set[str]:
    """Names in a sample file that have a comment above them, with no blank line between."""
    names: set[str] = set()
    table, commented = "", False
    for line in text(path).splitlines():
        if not line.strip():
            commented = False
        elif line.startswith("#"):
            commented = True
        elif line.startswith("["):
            table = line.strip("[] ") + "."
            names.add(table.rstrip("."))
        elif commented and (key := re.match(r'"?([\w.-]+)"?\s*=', line)):
            names.add(f"{table}{key[1]}")
    return names


def written(table: dict[str, typing.Any], prefix: str = "") -> Iterator[str]:
    """Every name a sample file sets."""
    for name, value in table.items():
        yield f"{prefix}{name}"
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict):
            yield from written(inner, f"{prefix}{name}.")


def attributes(*folders: Path) -> set[str]:
    """Every name that the sources read as an attribute."""
    return {
        node.attr
        for path in sources()
        if any(path.is_relative_to(folder) for folder in folders)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
    }


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_is_documented_and_used(service):
    """Each field of a service's configuration is read by it and explained in its sample file.

    What is Vault's is explained once for all services.

    And the sample file sets nothing else.
    """
    folder = ROOT / "services" / service / "src" / f"tollgate_{service}"
    assert (folder / "config.py").is_file()
    module = importlib.import_module(f"tollgate_{service}.config")
    samples = sorted((ROOT / "deploy" / "config").glob(f"{service}*.toml"))
    assert samples, f"no deploy/config/{service}*.toml"
    known = [setting for root in config_roots(module) for setting in settings(root)]
    names = {setting.name for setting in known}
    if "keyring.vault" in names:
        samples += sorted((ROOT / "deploy" / "vault").glob("keyring*.toml"))
    free = tuple(f"{setting.name}." for setting in known if setting.free)
    used = attributes(folder, ROOT / "libs" / "kit" / "src")
    explained = {name for path in samples for name in documented(path)}
    assert [] == sorted(names - explained)
    assert [] == sorted(setting.name for setting in known if setting.field not in used)
    set_here = {name for path in samples for name in written(tomllib.loads(text(path)))}
    assert [] == sorted(name for name in set_here - names if not name.startswith(free))
