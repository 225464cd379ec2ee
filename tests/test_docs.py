"""The docs say what the code does: settings, routes, commands, metrics, events, codes, decisions, links."""

import dataclasses
import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from docs.reference import BLOCKS, PAGES, filled
from tests.test_architecture import ROOMS
from transcriber.cli.main import COMMANDS, build_parser
from transcriber.observability.metrics import Metrics
from transcriber.settings.definition import Settings
from transcriber.webhooks.metrics import WebhookMetrics

ROOT = Path(__file__).parents[1]
DECISIONS = sorted((ROOT / "docs/pages/explanation/decisions").glob("[0-9]*.md"))


def reference(name: str) -> str:
    return (PAGES / name).read_text()


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.name)
def test_the_reference_says_what_the_code_says(page: Path) -> None:
    """`make reference` brings them in step."""
    assert page.read_text() == filled(page.read_text())


def test_every_table_stands_on_a_page() -> None:
    shown = re.findall(r"^<!-- begin: (\S+) -->$", "".join(map(reference, _names())), re.MULTILINE)
    assert sorted(shown) == sorted(BLOCKS)


def test_every_setting_stands_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (\S+) \|", reference("settings.md"), re.MULTILINE))
    assert set(rows) == {item.name.upper() for item in dataclasses.fields(Settings)}
    for item in dataclasses.fields(Settings):
        value = getattr(Settings(), item.name)
        shown = str(int(value)) if isinstance(value, bool) else str(value)
        expected = "empty" if value in ("", ()) else f"`{shown}`"
        assert item.name == "data_dir" or rows[item.name.upper()] == expected


def test_every_route_stands_in_the_table() -> None:
    routes = set(re.findall(r'"(/[^"]*)", \w+\.\w+', (ROOT / "transcriber/web/app.py").read_text()))
    assert len(routes) > 10
    assert [route for route in routes if f"{route}`" not in reference("http-api.md")] == []


def test_every_command_has_a_section() -> None:
    names = re.findall(r"^    (\w+) ", build_parser().format_help(), re.MULTILINE)
    assert len(names) == len(COMMANDS)
    assert [name for name in names if f"\n## transcriber {name}\n" not in reference("command-line.md")] == []


def test_every_metric_is_named() -> None:
    shown = b"".join(generate_latest(registry) for registry in (Metrics().registry, WebhookMetrics().registry))
    names = set(re.findall(r"^# TYPE (transcriber_\w+)", shown.decode(), re.MULTILINE))
    assert [name for name in names if f"`{name}`" not in reference("metrics.md")] == []


def test_every_code_stands_in_a_table() -> None:
    """Codes of stream.error and of HTTP errors, wherever the code writes one down."""
    places = [
        r"(?:StreamFault|MalformedMessage|_fault)\(\s*\"([a-z_]+)\"",
        r"TelephonyError\(\s*\d{3},\s*\"([a-z_]+)\"",
        r"\bcode=\"([a-z_]+)\"",
    ]
    source = "".join(path.read_text() for path in (ROOT / "transcriber").rglob("*.py"))
    codes = {code for place in places for code in re.findall(place, source)}
    assert len(codes) > 25
    assert [code for code in codes if f"`{code}`" not in reference("errors.md")] == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name[:3])
def test_the_guards_of_a_decision_are_there(page: Path) -> None:
    for path, name in re.findall(r"`((?:tests|bench)/[\w/.]+)(?:::(\w+))?`", page.read_text()):
        assert (ROOT / path).exists(), path
        assert not name or f"def {name}(" in (ROOT / path).read_text(), name


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(page.name[:3]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    index = (DECISIONS[0].parent / "index.md").read_text()
    for number, page in enumerate(DECISIONS, 1):
        title = page.read_text().splitlines()[0].removeprefix(f"# {number}. ")
        assert f"| {number} | [{title}]({page.name}) |" in index


def test_every_room_stands_on_the_map() -> None:
    shown = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = [room.replace(".", "/") for room in ROOMS if (ROOT / "transcriber" / room.replace(".", "/")).is_dir()]
    assert len(rooms) > 12
    assert [room for room in rooms if f"| `{room}/` |" not in shown] == []


def test_every_module_on_the_map_is_there() -> None:
    rows = re.findall(r"^\| `([\w/]+)/` \| (.*) \|$", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    named = [ROOT / "transcriber" / room / name for room, text in rows for name in re.findall(r"`([\w/]+)`", text)]
    assert len(named) > 100
    assert [path for path in named if not (path.is_dir() or path.with_suffix(".py").is_file())] == []


def test_links_inside_the_project_lead_somewhere() -> None:
    pages = [page for folder in (".", "bench", "deploy", "docs", "models") for page in ROOT.glob(f"{folder}/*.md")]
    pages += (ROOT / "docs/pages").rglob("*.md")
    assert len(pages) > 70
    for page in pages:
        for target in re.findall(r"\]\((?!http)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)


def test_pages_that_comments_name_are_there() -> None:
    sources = [path for folder in ("transcriber", "bench", "docs", "tests") for path in (ROOT / folder).rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"docs/pages/[\w/-]+\.md", path.read_text())}
    assert [name for name in named if not (ROOT / name).exists()] == []


def _names() -> list[str]:
    return [page.name for page in PAGES.glob("*.md")]
