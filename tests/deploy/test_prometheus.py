"""The files for Prometheus: its own tool reads and tries them, and what they name is served."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.promql import PROMETHEUS, metrics_named, promtool, records_named, served_by, try_promtool
from tests.process import ROOT
from tests.server.conftest import Serve, serve

__all__ = ["serve"]

Rule = Mapping[str, Any]
RULES: Mapping[str, Any] = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
RECORDS = {rule["record"]: rule for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
pytestmark = pytest.mark.deploy


def test_promtool_takes_them() -> None:
    promtool("check", "config", "scrape.yml")
    promtool("check", "rules", "rules.yml")


def test_each_alert_is_silent_once_and_fires_once() -> None:
    promtool("test", "rules", "rules_test.yml")


@pytest.mark.parametrize("alert", ALERTS)
@pytest.mark.parametrize("expression", ["vector(1)", "vector(1) > 1"], ids=["always", "never"])
def test_the_tests_notice_an_alert_that_is_wrong(tmp_path: Path, alert: str, expression: str) -> None:
    wrong = copy.deepcopy(RULES)
    for group in wrong["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") == alert:
                rule["expr"] = expression
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(wrong))
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())
    tests["tests"] = [test for test in tests["tests"] if test["name"].startswith(f"{alert}:")]
    (tmp_path / "rules_test.yml").write_text(yaml.safe_dump(tests))
    done = try_promtool("test", "rules", "rules_test.yml", folder=tmp_path)
    assert done.returncode != 0
    assert f'alertname="{alert}"' in done.stderr + done.stdout


async def test_every_metric_they_name_is_served(serve: Serve, unused_tcp_port_factory: Any) -> None:
    running = await serve()
    served = await served_by(running, unused_tcp_port_factory(), unused_tcp_port_factory())
    named: set[str] = set()
    for name, rule in (ALERTS | RECORDS).items():
        metrics, records = metrics_named(rule["expr"]), records_named(rule["expr"])
        assert metrics | records, name
        assert metrics <= served, (name, metrics - served)
        assert records <= RECORDS.keys(), (name, records - RECORDS.keys())
        named |= metrics
    assert len(named) > 20


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_what_to_do(alert: str) -> None:
    rule, runbook = ALERTS[alert], (ROOT / "deploy/RUNBOOK.md").read_text()
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"].endswith(f"/how-to/runbook.html#{alert.lower()}")
    _, _, section = runbook.partition(f"\n### {alert}\n")
    text = section.partition("\n### ")[0]
    for part in ("**Means.** ", "**Users notice.** ", "**Look at.** ", "**Do.** ", "**Over when.** "):
        assert f"\n{part}" in text, part
