"""The chart's values: each is explained, each setting has a place, and wrong ones are refused with their path."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.chart import CHART, run
from tests.deploy.values_table import README, filled, rows
from tests.process import ROOT
from transcriber.settings.definition import Settings

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
OF_THE_CHART = {
    *("host", "port", "reuse_port", "metrics_address", "tls_cert", "tls_key"),
    *("data_dir", "models_dir", "drain_s", "no_media"),
}
"""Settings that follow from other values, or make no sense in a pod."""
SECRET = {"secret": {"existing": "transcriber", "keys": ["api_keys", "redis_url", "twilio_auth_token"]}}
PUBLIC = {"settings": {"public_url": "https://media.example.net", "trusted_proxies": ["10.42.0.0/16"]}}
UNKNOWN: dict[str, dict[str, Any]] = {
    "replica": {"replica": 3},
    "settings.histroy_ttl_s": {"settings": {"histroy_ttl_s": 1}},
    "settings.redis_url": {"settings": {"redis_url": "redis://redis.example.net"}},
    "secret.values.api_key": {"secret": {"values": {"api_key": "x"}}},
    "autoscaling.keda.cron": {"autoscaling": {"keda": {"cron": []}}},
    "webhooks.0.uri": {"webhooks": [{"name": "crm", "url": "https://crm.example.net", "uri": "x"}]},
}
WRONG: dict[str, dict[str, Any]] = {
    "kind": {"kind": "DaemonSet"},
    "replicas": {"replicas": "3"},
    "drainSeconds": {"drainSeconds": -1},
    "preStopSeconds": {"preStopSeconds": 0},
    "image.digest": {"image": {"digest": "latest"}},
    "settings.public_url": {"settings": {"public_url": "media.example.net"}},
    "settings.endpoint_ms": {"settings": {"endpoint_ms": 50}},
    "settings.journal": {"settings": {"journal": "yes"}},
    "settings.pubsub": {"settings": {"pubsub": "shards"}},
    "probes.readinessPath": {"probes": {"readinessPath": "/healthz"}},
    "autoscaling.kind": {"autoscaling": {"kind": "cpu"}},
    "autoscaling.headroomPercent": {"autoscaling": {"headroomPercent": 100}},
    "ingress.expose": {"ingress": {"expose": "metrics"}},
    "data.size": {"data": {"size": "10 GB"}},
    "webhooks.0.name": {"webhooks": [{"name": "CRM system", "url": "https://crm.example.net"}]},
    "networkPolicy.redisPorts": {"networkPolicy": {"redisPorts": []}},
    "strategy.maxSurge": {"strategy": {"maxSurge": "half"}},
    "resources": {"resources": {"request": {"cpu": "1"}}},
}
TOGETHER: dict[str, dict[str, Any]] = {
    "secret.values: redis_url": {"secret": {"existing": "", "values": {"api_keys": "x"}}},
    "secret.keys: redis_url": {"secret": {"keys": ["api_keys"]}},
    "secret.keys: api_keys": {"secret": {"keys": ["redis_url"]}},
    "secret.keys: webhook_secret is missing, which webhooks[0]": {
        **PUBLIC,
        "webhooks": [{"name": "crm", "url": "https://crm.example.net"}],
    },
    "webhooks[1].name": {
        "secret": {"keys": ["api_keys", "redis_url", "webhook_secret"]},
        "webhooks": [{"name": "crm", "url": "https://crm.example.net"}] * 2,
    },
    "secret.values: of no use": {**PUBLIC, "secret": {"values": {"api_keys": "x"}}},
    "settings.public_url: needed with a Twilio": {},
    "settings.public_url: needed with an ingress": {
        "secret": {"keys": ["api_keys", "redis_url"]},
        "ingress": {"enabled": True},
    },
    "settings.trusted_proxies": {
        "settings": {"public_url": "https://media.example.net"},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]},
    },
    "settings.public_url: a path prefix": {
        "settings": {"public_url": "https://media.example.net/calls", "trusted_proxies": ["10.42.0.0/16"]},
        "ingress": {"enabled": True},
    },
    "httpRoute.parentRefs": {**PUBLIC, "httpRoute": {"enabled": True}},
    "settings.journal": {"settings": {**PUBLIC["settings"], "journal": True}},
    "data.existingClaim": {**PUBLIC, "kind": "StatefulSet", "data": {"existingClaim": "data"}},
    "models: give one": {**PUBLIC, "models": {"pull": ["de"], "existingClaim": "models"}},
    "autoscaling.tracksPerPod": {**PUBLIC, "autoscaling": {"kind": "hpa"}},
    "autoscaling.minReplicas": {
        **PUBLIC,
        "autoscaling": {"kind": "keda", "tracksPerPod": 100, "minReplicas": 9, "maxReplicas": 3},
    },
    "strategy.maxSurge": {**PUBLIC, "strategy": {"maxSurge": "0%", "maxUnavailable": 0}},
}
pytestmark = pytest.mark.chart


def refusal(values: dict[str, Any], folder: Path, helm: str = "helm") -> str:
    """What Helm says to these values, on top of a Secret that exists."""
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    base = folder / "base.yaml"
    base.write_text(yaml.safe_dump(SECRET))
    done = run(helm, "template", "voice", str(CHART), "--values", str(base), "--values", str(file))
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("path", UNKNOWN)
def test_a_name_that_is_not_there_is_refused(path: str, tmp_path: Path) -> None:
    *where, name = path.split(".")
    said = refusal(UNKNOWN[path], tmp_path)
    assert f"at '{''.join(f'/{part}' for part in where)}'" in said
    assert name in said


@pytest.mark.parametrize("path", WRONG)
def test_a_wrong_value_is_refused_with_its_path(path: str, tmp_path: Path) -> None:
    assert f"at '/{path.replace('.', '/')}'" in refusal(WRONG[path], tmp_path)


@pytest.mark.parametrize("words", TOGETHER)
@pytest.mark.parametrize("helm", ["helm3", "helm"])
def test_values_that_do_not_go_together_are_refused(words: str, helm: str, tmp_path: Path) -> None:
    assert words in refusal(TOGETHER[words], tmp_path, helm)


def test_every_value_is_explained() -> None:
    assert [path for path, _, meaning in rows() if not meaning] == []


def test_the_table_of_the_readme_is_made_of_the_values() -> None:
    """`make chart-files` brings them in step."""
    assert len(rows()) > 80
    assert filled(README.read_text()) == README.read_text()


def test_the_schema_knows_every_value_and_no_other() -> None:
    def names(schema: dict[str, Any], path: str = "") -> set[str]:
        if "properties" not in schema:
            return {path}
        return {n for key, child in schema["properties"].items() for n in names(child, f"{path}.{key}".lstrip("."))}

    known = {name for name in names(SCHEMA) if not name.startswith("settings.")} - {"global"}
    assert known == {path for path, _, _ in rows() if not path.startswith("settings.")}


def test_every_setting_has_a_place() -> None:
    """As a value, as a key of the Secret, or set by the chart."""
    secret = {item.name for item in dataclasses.fields(Settings) if item.metadata["secret"]}
    settings = {item.name for item in dataclasses.fields(Settings)}
    assert set(SCHEMA["properties"]["settings"]["properties"]) == settings - secret - OF_THE_CHART
    assert secret == {"api_keys", "redis_url", "twilio_auth_token", "webhook_secret", "model_mirror"}


def test_the_values_that_the_guide_shows_are_taken(tmp_path: Path) -> None:
    guide = (ROOT / "docs/pages/how-to/run-on-kubernetes.md").read_text()
    shown = re.findall(r"^```yaml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    assert len(shown) >= 3
    base = tmp_path / "base.yaml"
    base.write_text(yaml.safe_dump({**SECRET, **PUBLIC}))
    for number, text in enumerate(shown):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        done = run("helm", "template", "voice", str(CHART), "--values", str(base), "--values", str(file))
        assert done.returncode == 0, done.stderr
