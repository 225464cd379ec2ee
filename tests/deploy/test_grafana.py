"""Grafana's board: made of its panels, each query parses, and what it names is served."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.promql import metrics_named, promtool, served_by
from tests.process import ROOT
from tests.server.conftest import Serve, serve

__all__ = ["serve"]

FOLDER = ROOT / "deploy/grafana"
BOARD: dict[str, Any] = json.loads((FOLDER / "transcriber.json").read_text())
VARIABLES = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*", "$redis": ".*"}


def queries() -> Iterator[tuple[str, str]]:
    """Title of the panel, and PromQL without variables."""
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            yield panel["title"], query


def test_the_board_is_what_its_panels_make() -> None:
    """`make board` brings them in step."""
    made = subprocess.run([sys.executable, str(FOLDER / "board.py")], capture_output=True, text=True, check=True)
    assert made.stdout == (FOLDER / "transcriber.json").read_text()


def test_panels_have_numbers_and_places_of_their_own() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 30
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + column, place["y"] + line) for column in range(place["w"]) for line in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(column for column, _ in cells) < 24, panel["title"]
        taken |= cells


def test_every_panel_says_what_to_look_for_and_asks_the_chosen_source() -> None:
    for panel in BOARD["panels"]:
        if panel["type"] != "row":
            assert panel["description"].endswith("."), panel["title"]
            assert panel["targets"], panel["title"]
            sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
            assert {source["uid"] for source in sources} == {"${datasource}"}


def test_every_variable_is_one_of_the_board() -> None:
    known = {variable["name"] for variable in BOARD["templating"]["list"]} | {"__rate_interval"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(BOARD["panels"])))
    assert used <= known
    assert not [query for _, query in queries() if "$" in query]


@pytest.mark.deploy
def test_every_query_parses(tmp_path: Path) -> None:
    rules = [{"record": f"query:{index}", "expr": query} for index, (_, query) in enumerate(queries())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", "rules.yml", folder=tmp_path)


@pytest.mark.deploy
async def test_every_metric_it_names_is_served(serve: Serve, unused_tcp_port_factory: Any) -> None:
    running = await serve()
    served = await served_by(running, unused_tcp_port_factory(), unused_tcp_port_factory())
    asked = [query for _, query in queries()]
    asked += [variable["query"]["query"] for variable in BOARD["templating"]["list"] if variable["type"] == "query"]
    for query in asked:
        named = metrics_named(query)
        assert named, query
        assert named <= served, (query, named - served)
