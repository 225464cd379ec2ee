"""The README says what the code does: settings, routes, commands, metrics, links."""

import dataclasses
import re
from pathlib import Path

from prometheus_client import generate_latest

from transcriber.cli.main import COMMANDS, build_parser
from transcriber.observability.metrics import Metrics
from transcriber.settings.definition import Settings
from transcriber.webhooks.metrics import WebhookMetrics

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_every_setting_stands_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (\S+) \|", README, re.MULTILINE))
    assert set(rows) == {item.name.upper() for item in dataclasses.fields(Settings)}
    for item in dataclasses.fields(Settings):
        value = getattr(Settings(), item.name)
        shown = str(int(value)) if isinstance(value, bool) else str(value)
        expected = "empty" if value in ("", ()) else f"`{shown}`"
        assert item.name == "data_dir" or rows[item.name.upper()] == expected


def test_every_route_stands_in_the_table() -> None:
    routes = set(re.findall(r'"(/[^"]*)", \w+\.\w+', (ROOT / "transcriber/web/app.py").read_text()))
    assert len(routes) > 10
    assert [route for route in routes if f"{route}`" not in README] == []


def test_every_command_stands_in_the_table() -> None:
    names = re.findall(r"^    (\w+) ", build_parser().format_help(), re.MULTILINE)
    assert len(names) == len(COMMANDS)
    assert [name for name in names if f"`transcriber {name}" not in README] == []


def test_every_metric_is_named() -> None:
    shown = b"".join(generate_latest(registry) for registry in (Metrics().registry, WebhookMetrics().registry))
    names = set(re.findall(r"^# TYPE (transcriber_\w+)", shown.decode(), re.MULTILINE))
    assert [name for name in names if name not in README and name != "transcriber_build_info"] == []


def test_links_inside_the_project_lead_somewhere() -> None:
    pages = [page for folder in (".", "bench", "deploy", "models") for page in ROOT.glob(f"{folder}/*.md")]
    assert len(pages) > 6
    for page in pages:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)
