"""What the documents cite is in the repository: files, tests, metrics, log events, settings."""

import ast
import functools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.unit.test_tidy import ROOT, text, tracked

SUFFIXES = r"\.(?:py|md|toml|proto|lua|sql|yml|sh)"
# A path is cited from the root, or from any folder on: `api/pipeline.py`, `tollgate_budget/ledger/`.
CITED = re.compile(rf"`([\w*][\w*./-]*{SUFFIXES}|\w[\w.-]*(?:/[\w*.-]+)*/)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
TEST = re.compile(r"`(?:(tests/[\w/]+\.py)::)(test_\w+)`")
METRIC = re.compile(r"`tollgate_([a-z_]+)(?:\{[^}`]*\})?`")
# Of those documents, in which `publish.failed` is an event, `limits.drain_seconds` a setting.
OPERATED = ("docs/failures.md", "docs/life_of_a_call.md")
DOTTED = re.compile(rf"`(?![\w.]+{SUFFIXES}`)([a-z_]+\.[a-z_]+)`")


@functools.cache
def documents() -> tuple[Path, ...]:
    """Every document, but for the decisions of their day and what changed when."""
    found = (path for path in tracked() if path.suffix == ".md")
    return tuple(p for p in found if p.parent.name != "adr" and p.name != "CHANGELOG.md")


@functools.cache
def paths() -> str:
    """Every file that is tracked, and each of its folders, one a line."""
    files = {"/" + path.relative_to(ROOT).as_posix() for path in tracked()}
    folders = {f"{parent}/".replace("//", "/") for f in files for parent in Path(f).parents}
    return "\n".join(sorted(files | folders))


@functools.cache
def strings() -> str:
    """The sources of what runs, in which every name of an event or metric is a literal."""
    return "\n".join(text(p) for p in tracked() if p.suffix == ".py" and "/src/" in p.as_posix())


@functools.cache
def settings() -> frozenset[str]:
    """section.field of every sample configuration."""
    loaded = (tomllib.loads(text(path)) for path in (ROOT / "deploy/config").glob("*.toml"))
    return frozenset(
        f"{section}.{field}"
        for config in loaded
        for section, fields in config.items()
        if isinstance(fields, dict)
        for field in fields
    )


def cited(pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str]]]:
    return (
        (path.relative_to(ROOT).as_posix(), match)
        for path in documents()
        for match in pattern.finditer(text(path))
    )


def test_there_are_documents_and_they_cite():
    """The patterns below find something: a check of nothing is not green."""
    assert len(documents()) > 15
    for pattern, at_least in ((CITED, 100), (LINK, 20), (TEST, 80), (METRIC, 20), (DOTTED, 20)):
        assert sum(1 for _ in cited(pattern)) > at_least, pattern.pattern


def test_every_path_that_a_document_cites_is_there():
    """From the root or from any folder on; a star stands for any name."""
    missing = []
    for document, match in cited(CITED):
        name = re.escape(match[1]).replace(r"\*", "[^/\n]*")
        if not re.search(f"/{name}$", paths(), re.MULTILINE):
            missing.append((document, match[1]))
    assert [] == missing


def test_every_link_of_a_document_leads_to_a_file():
    """Relative to the document that has it."""
    assert [] == [
        (document, match[1])
        for document, match in cited(LINK)
        if not (ROOT / document).parent.joinpath(match[1]).exists()
    ]


def test_every_test_that_a_document_cites_is_there():
    """By its file and its name."""
    missing = []
    for document, match in cited(TEST):
        path = ROOT / match[1]
        nodes = ast.walk(ast.parse(text(path))) if path.is_file() else ()
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        if match[2] not in {node.name for node in nodes if isinstance(node, functions)}:
            missing.append((document, match[0]))
    assert [] == missing


def test_every_metric_that_a_document_cites_is_there():
    """A name that was changed in the code is changed where an operator reads it."""
    rpc = re.compile(r"rpc_(server|client)_(handled_total|handling_seconds)$")
    assert [] == [
        (document, match[0])
        for document, match in cited(METRIC)
        if f'"{match[1]}"' not in strings()
        and not rpc.match(match[1])
        and not re.search(f"/tollgate_{match[1]}/$", paths(), re.MULTILINE)  # a package
    ]


def test_every_event_and_setting_that_an_operator_is_told_of_is_there():
    """What is searched for in a log, and what is set in a file, is named as it is there."""
    assert [] == [
        (document, match[0])
        for document, match in cited(DOTTED)
        if document in OPERATED and f'"{match[1]}"' not in strings() and match[1] not in settings()
    ]
