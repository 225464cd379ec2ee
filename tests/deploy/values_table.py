"""The chart's values and their comments as a table: `python -m tests.deploy.values_table` writes it into the README."""

import json
import re
from typing import Any

import yaml

from tests.deploy.chart import CHART

README = CHART / "README.md"
BEGIN, END = "<!-- begin: values -->", "<!-- end: values -->"


def comments(text: str) -> dict[str, str]:
    """For each path (`a.b`) the comment lines right above its key, as one."""
    found: dict[str, str] = {}
    above: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        if said := re.match(r" *# ?(.*)", line):
            above.append(said[1])
        elif key := re.match(r"( *)(\w+):", line):
            parents = [parent for parent in parents if parent[0] < len(key[1])]
            parents.append((len(key[1]), key[2]))
            if above:
                found[".".join(name for _, name in parents)] = " ".join(above)
            above = []
        else:
            above = []
    return found


def rows() -> list[tuple[str, Any, str]]:
    """(path, default, meaning) of each value; one without a comment has the meaning ""."""
    text = (CHART / "values.yaml").read_text()
    said = comments(text)

    def walk(path: str, value: Any) -> list[tuple[str, Any, str]]:
        inner = isinstance(value, dict) and any(name.startswith(f"{path}.") for name in said)
        if path and not inner:
            return [(path, value, said.get(path, ""))]
        return [row for key, child in value.items() for row in walk(f"{path}.{key}".lstrip("."), child)]

    return walk("", yaml.safe_load(text))


def table() -> str:
    """Markdown."""
    lines = ["| value | default | meaning |", "| --- | --- | --- |"]
    for path, default, meaning in rows():
        shown = (
            "empty" if default in ("", [], {}) else f"`{default if isinstance(default, str) else json.dumps(default)}`"
        )
        lines.append(f"| `{path}` | {shown} | {meaning.replace('|', '&#124;')} |")
    return "\n".join(lines)


def filled(text: str) -> str:
    """The page with the table of now."""
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n\n{table()}\n\n{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
