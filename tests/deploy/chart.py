"""The chart as Helm renders it: objects by kind and name, and what a pod's containers get."""

import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.process import ROOT

CHART = ROOT / "deploy/helm/transcriber"
VALUES = sorted((Path(__file__).parent / "values").glob("*.yaml"))
TOOLS = ROOT / ".venv/chart/bin"
RELEASE, NAMESPACE = "voice", "calls"
Document = dict[str, Any]


def run(program: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """A program of `make chart`, which finds nothing of this user."""
    assert (TOOLS / program).exists(), f"{program} is not here: run `make chart`"
    clean = {"PATH": os.environ["PATH"], "HOME": str(TOOLS.parent / "home")}
    return subprocess.run(
        [str(TOOLS / program), *argv], cwd=ROOT, env=clean, capture_output=True, text=True, check=False, timeout=100
    )


@cache
def rendered(values: Path, helm: str = "helm") -> str:
    """What Helm makes of the chart with this file of values, tests and all."""
    done = run(helm, "template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", str(values))
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(values: Path, kind: str | None = None, helm: str = "helm") -> list[Document]:
    """The objects, or those of a kind."""
    return [
        document
        for document in yaml.safe_load_all(rendered(values, helm))
        if document is not None and kind in (None, document["kind"])
    ]


def named(values: Path, kind: str, name: str) -> Document:
    """The object of this kind and name."""
    (found,) = [document for document in documents(values, kind) if document["metadata"]["name"] == name]
    return found


def pods(values: Path) -> Iterator[Document]:
    """The pods that the objects make, each with `metadata` and `spec`."""
    for document in documents(values):
        if document["kind"] in ("Deployment", "StatefulSet"):
            yield document["spec"]["template"]
        elif document["kind"] == "Pod":
            yield document


def containers(pod: Document) -> list[Document]:
    """All of them, in the order of their start."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def environment(container: Document) -> dict[str, str]:
    """What the container's program is told."""
    return {item["name"]: item["value"] for item in container.get("env", [])}


def selects(selector: dict[str, str], pod: Document) -> bool:
    """Whether the labels of a selector are those of a pod."""
    labels: dict[str, str] = pod["metadata"]["labels"]
    return selector.items() <= labels.items()


def values_of(stem: str) -> Path:
    """The file of values of this name."""
    return next(path for path in VALUES if path.stem == stem)
