"""The index of deploy/: every file has its place in it, and what it links is there."""

import re

from tests.process import ROOT

FOLDER = ROOT / "deploy"


def test_every_file_stands_in_the_index() -> None:
    index = (FOLDER / "README.md").read_text()
    rows = "\n".join(line for line in index.splitlines() if line.startswith("| "))
    missing = []
    for file in FOLDER.rglob("*"):
        parts = file.relative_to(FOLDER).parts
        if file.is_dir() or {"__pycache__", "node_modules", "README.md"} & {parts[0], *parts}:
            continue
        places = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        if not any(f"`{place}`" in rows or f"`{place}/`" in rows or f"({place})" in rows for place in places):
            missing.append("/".join(parts))
    assert missing == []


def test_every_ring_that_is_named_is_a_verb() -> None:
    verbs = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z0-9-]+)`", (FOLDER / "README.md").read_text()))
    assert len(named) >= 6
    assert named <= verbs
