"""Writes Grafana's board from panels.toml to standard output (`make board`).

The board needs no recording rules; it is for Grafana 10 and newer.
"""

import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Json = dict[str, Any]

PANELS = Path(__file__).with_name("panels.toml")
SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, FIGURE_HEIGHT, LINES_HEIGHT = 24, 4, 8
FIGURE_OPTIONS = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
LINES_OPTIONS = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
    "tooltip": {"mode": "multi", "sort": "desc"},
}


def board(rows: Sequence[Json]) -> Json:
    """The whole board."""
    alerts = {
        "name": "Alerts",
        "enable": True,
        "iconColor": "red",
        "datasource": SOURCE,
        "expr": 'ALERTS{alertname=~"Transcriber.*", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
    }
    variables = [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        variable("job", "Fleet", "label_values(transcriber_build_info, job)"),
        variable("instance", "Server", 'label_values(transcriber_build_info{job=~"$job"}, instance)'),
        variable("redis", "Redis", "label_values(redis_up, instance)"),
    ]
    return {
        "uid": "transcriber",
        "title": "Transcriber",
        "description": "Live transcription of telephone calls: room, delays, Redis, webhooks",
        "tags": ["transcriber"],
        "schemaVersion": 38,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "graphTooltip": 1,
        "annotations": {"list": [alerts]},
        "templating": {"list": variables},
        "panels": panels(rows),
    }


def variable(name: str, label: str, query: str) -> Json:
    """A choice of label values."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }


def panels(rows: Sequence[Json]) -> list[Json]:
    """All rows, each with its panels below it; numbers and places follow the order."""
    found: list[Json] = []
    y = 0
    for row in rows:
        place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        head = {"type": "row", "title": row["title"], "collapsed": False, "gridPos": place, "panels": []}
        found.append({"id": len(found) + 1, **head})
        y += 1
        for index, described in enumerate(row["panel"]):
            height = FIGURE_HEIGHT if described.get("figure") else LINES_HEIGHT
            line, x = divmod(index * row["width"], WIDTH)
            place = {"x": x, "y": y + line * height, "w": row["width"], "h": height}
            found.append({"id": len(found) + 1, "gridPos": place, **panel(described)})
        y += (line + 1) * height
    return found


def panel(described: Mapping[str, Any]) -> Json:
    """As Grafana has it, but for its number and place."""
    figure, marks = described.get("figure", False), described.get("marks", ())
    steps: list[Json] = [{"color": "green", "value": None}]
    steps += [{"color": color, "value": at} for color, at in zip(("yellow", "red"), marks, strict=False)]
    defaults: Json = {"unit": described["unit"], "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if not figure:
        defaults["custom"] = {"fillOpacity": 10, "showPoints": "never", "lineWidth": 1}
    if described.get("stacked"):
        defaults["custom"] |= {"fillOpacity": 40, "stacking": {"mode": "normal", "group": "A"}}
    return {
        "type": "stat" if figure else "timeseries",
        "title": described["title"],
        "description": described["look"],
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": FIGURE_OPTIONS if figure else LINES_OPTIONS,
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": name}
            for index, (name, query) in enumerate(described["queries"].items())
        ],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(board(tomllib.loads(PANELS.read_text())["row"]), indent=1) + "\n")
