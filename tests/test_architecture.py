"""Imports point one way, the core is pure, libraries stay where they belong, files and functions stay small."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "transcriber"
LEVEL = {
    "errors": 0,
    "config": 1,
    "values": 1,
    "logs": 1,
    "log_budget": 1,
    "metrics": 1,
    "turns": 1,
    "cancellation": 1,
    "allocator": 1,
    "core": 1,
    "caller": 2,
    "catalog": 2,
    "graphs": 2,
    "sample_calls": 2,
    "child": 2,
    "secret_file": 1,
    "settings_file": 1,
    "sources": 1,
    "local_key": 2,
}
LEVEL |= {
    "ports": 2,
    "telephony": 3,
    "engine": 3,
    "store": 3,
    "scribe": 3,
    "compiling": 4,
    "session": 4,
    "waiting": 4,
    "session_metrics": 5,
    "sessions": 5,
    "web": 6,
    "webhook": 6,
    "proof": 7,
    "cli": 8,
}
IMPURE = {"asyncio", "threading", "time", "os", "pathlib", "socket", "aiohttp", "redis", "vosk", "logging"}
HOMES = {"vosk": {"engine", "proof"}, "redis": {"store"}, "rich": {"cli"}, "psutil": {"proof"}}
HOMES |= {"aiohttp": {"web", "webhook", "cli", "caller", "catalog", "proof"}}
LONGEST_MODULE, LONGEST_FUNCTION = 250, 50
MODULES = sorted(ROOT.rglob("*.py"))


def part(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "transcriber":
            yield from (f"transcriber.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_keeps_to_its_place(path: Path) -> None:
    mine = part(path)
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "transcriber" and rest and rest[0] in LEVEL and mine in LEVEL:
            assert LEVEL[rest[0]] <= LEVEL[mine], f"{mine} imports {name}"
        assert mine != "core" or top not in IMPURE, f"the core imports {name}"
        assert top not in HOMES or mine in HOMES[top], f"{mine} imports {name}"
    text = path.read_text()
    assert text.count("\n") <= LONGEST_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, node.name
