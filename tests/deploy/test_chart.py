"""The chart is one: for both Helms, and for the schemas of three Kubernetes versions."""

import tarfile
from pathlib import Path

import pytest
import yaml

import transcriber
from tests.deploy.chart import CHART, TOOLS, VALUES, documents, rendered, run, values_of

KUBERNETES = ["1.31.0", "1.34.0", "1.37.0"]
NO_SCHEMA = ("ScaledObject", "ServiceMonitor", "PrometheusRule", "HTTPRoute")
"""Kinds that Kubernetes itself does not know; see test_chart_crds.py."""
pytestmark = pytest.mark.chart
each_values = pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)


@each_values
@pytest.mark.parametrize("helm", ["helm3", "helm"])
def test_helm_finds_nothing_to_complain_of(values: Path, helm: str) -> None:
    done = run(helm, "lint", "--strict", str(CHART), "--values", str(values))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr


@each_values
def test_both_helms_render_the_same(values: Path) -> None:
    def key(document: dict[str, dict[str, str]]) -> tuple[str, str]:
        return str(document["kind"]), document["metadata"]["name"]

    old, new = (sorted(documents(values, helm=helm), key=key) for helm in ("helm3", "helm"))
    assert old == new


@each_values
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_takes_every_object(values: Path, version: str, tmp_path: Path) -> None:
    known = [document for document in documents(values) if document["kind"] not in NO_SCHEMA]
    assert len(known) > 4
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(known))
    done = run("kubernetes-validate", "--strict", "--kubernetes-version", version, str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schemas_would_notice(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(rendered(VALUES[0]).replace("containerPort:", "containerport:"))
    done = run("kubernetes-validate", "--strict", "--no-warn", str(wrong))
    assert done.returncode != 0


def test_the_package_holds_the_chart_and_nothing_else(tmp_path: Path) -> None:
    done = run("helm", "package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        packed = {name.removeprefix("transcriber/") for name in archive.getnames()}
    here = {str(path.relative_to(CHART)) for path in CHART.rglob("*") if path.is_file() and path.name != ".helmignore"}
    assert packed - {".helmignore"} == here


def test_the_tools_are_the_pinned_ones() -> None:
    assert "v3." in run("helm3", "version").stdout
    assert "v4." in run("helm", "version").stdout
    assert (TOOLS / "kubernetes-validate").exists()


@pytest.mark.parametrize("name", ["prometheus/rules.yml", "grafana/transcriber.json"])
def test_rules_and_board_are_those_of_deploy(name: str) -> None:
    """`make chart-files` copies them."""
    original = CHART.parents[1] / name
    assert (CHART / "files" / original.name).read_text() == original.read_text()


def test_the_chart_installs_the_program_that_it_lies_beside() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == transcriber.__version__
    assert f'image: "transcriber:{transcriber.__version__}"' in rendered(values_of("least"))
