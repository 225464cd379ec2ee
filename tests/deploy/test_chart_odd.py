"""Unusual values work; mistakes that only a cluster would notice are refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.chart import CHART, run

BASE: dict[str, Any] = {"secret": {"existing": "transcriber", "keys": ["api_keys", "redis_url", "webhook_secret"]}}
READ_AS_OTHER_TYPES = ["123", "1e3", "0x1f", "true", "null"]
"""Texts that YAML takes for numbers, truth values or nothing unless they are quoted."""
PLACES: dict[str, dict[str, Any]] = {
    "nameOverride": {"nameOverride": "TEXT"},
    "pullSecrets": {"image": {"pullSecrets": ["TEXT"]}},
    "secret": {"secret": {"existing": "TEXT"}},
    "certificate": {"tls": {"secretName": "TEXT"}},
    "claims": {"data": {"existingClaim": "TEXT"}, "models": {"existingClaim": "TEXT"}},
    "storage class": {"kind": "StatefulSet", "data": {"storageClassName": "TEXT"}},
    "priority class": {"priorityClassName": "TEXT", "serviceAccount": {"name": "TEXT"}},
    "ingress": {
        "settings": {"public_url": "https://media.example.net", "trusted_proxies": ["10.42.0.0/16"]},
        "ingress": {"enabled": True, "className": "TEXT", "tlsSecretName": "TEXT"},
    },
    "key of the test": {"test": {"apiKeySecretName": "TEXT"}},
    "labels": {"podLabels": {"team": "TEXT"}, "podAnnotations": {"team": "TEXT"}, "nodeSelector": {"team": "TEXT"}},
    "webhook": {"webhooks": [{"name": "TEXT", "url": "https://crm.example.net"}]},
    "sizes": {"data": {"emptyDirSize": "1000"}, "models": {"emptyDirSize": "1000"}},
    "user of a cluster that gives its own": {"podSecurityContext": {"runAsUser": 1000650000, "fsGroup": 1000650000}},
}
WEBHOOK = {"name": "crm", "url": "https://crm.example.net"}
PUBLIC = {"public_url": "https://media.example.net", "trusted_proxies": ["10.42.0.0/16"]}
REFUSED: dict[str, dict[str, Any]] = {
    "at '/nameOverride'": {"nameOverride": "My Name"},
    "at '/fullnameOverride'": {"fullnameOverride": "My_Name"},
    "fullnameOverride: 1calls": {"fullnameOverride": "1calls"},
    "podLabels: app.kubernetes.io/component": {"podLabels": {"app.kubernetes.io/component": "voice"}},
    "podLabels: app.kubernetes.io/name": {"podLabels": {"app.kubernetes.io/name": "voice"}},
    "podAnnotations: checksum/secret": {"podAnnotations": {"checksum/secret": "1"}},
    "extraEnv[1].name: TRANSCRIBER_PORT": {
        "extraEnv": [{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "TRANSCRIBER_PORT", "value": "9090"}]
    },
    "extraEnv[0].name: TRANSCRIBER_REDIS_URL": {"extraEnv": [{"name": "TRANSCRIBER_REDIS_URL", "value": "redis://x"}]},
    "extraVolumes[0].name: tmp": {"extraVolumes": [{"name": "tmp", "emptyDir": {}}]},
    "extraVolumeMounts[0].mountPath: /data": {"extraVolumeMounts": [{"name": "disk", "mountPath": "/data/"}]},
    "settings.public_url: an ingress or an HTTPRoute takes a host name": {
        "settings": {**PUBLIC, "public_url": "https://[2001:db8::1]:8443"},
        "ingress": {"enabled": True},
    },
    "webhooks[0].url: senders refuse http": {"webhooks": [{**WEBHOOK, "url": "http://crm.calls.svc:443"}]},
    "webhooks[0].url: it must not hold a password": {"webhooks": [{**WEBHOOK, "url": "https://u:p@crm.example.net"}]},
    "webhooks[0].url: the network policy": {"webhooks": [{**WEBHOOK, "url": "https://crm.example.net:8443/in"}]},
    "webhooks[1].url: the network policy": {
        "webhooks": [WEBHOOK, {"name": "bi", "url": "http://bi.calls.svc/in", "args": ["--allow-http"]}]
    },
    "networkPolicy.internet": {"networkPolicy": {"internet": False}, "webhooks": [WEBHOOK]},
    "networkPolicy.redisPorts: 6380": {
        "secret": {"existing": "", "values": {"api_keys": "x", "redis_url": "rediss://u:a:7@redis.example.net:6380/0"}}
    },
}
TAKEN: dict[str, dict[str, Any]] = {
    "a host in capitals": {
        "settings": {**PUBLIC, "public_url": "https://Media.Example.net"},
        "ingress": {"enabled": True},
    },
    "a receiver that has a rule": {
        "webhooks": [{**WEBHOOK, "url": "http://crm.calls.svc:8080", "args": ["--allow-http"]}],
        "networkPolicy": {"extraEgress": [{"ports": [{"port": 8080}], "to": [{"podSelector": {}}]}]},
    },
    "a receiver in the pod": {"webhooks": [{**WEBHOOK, "url": "http://127.0.0.1:8080/in"}]},
    "a receiver without a policy": {
        "webhooks": [{**WEBHOOK, "url": "https://crm.example.net:8443"}],
        "networkPolicy": {"enabled": False},
    },
    "Redis on ports that are named": {
        "secret": {
            "existing": "",
            "values": {
                "api_keys": "x",
                "redis_url": "redis+sentinel://u:p%40x@a.example.net:26379,b.example.net/main/0",
            },
        },
        "networkPolicy": {"redisPorts": [6379, 26379]},
    },
    "no pods": {"replicas": 0},
}
pytestmark = pytest.mark.chart
both_helms = pytest.mark.parametrize("helm", ["helm3", "helm"])


def _template(values: dict[str, Any], folder: Path, helm: str, release: str = "voice") -> tuple[int, str, str]:
    """Exit status, objects and complaints of Helm for these values on top of a Secret that exists."""
    files = []
    for name, content in (("base", BASE), ("values", values)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
        files += ["--values", str(folder / f"{name}.yaml")]
    done = run(helm, "template", release, str(CHART), *files)
    return done.returncode, done.stdout, done.stderr


def _valid(values: dict[str, Any], folder: Path, helm: str, release: str = "voice") -> str:
    """The objects, which Kubernetes takes."""
    status, objects, complaints = _template(values, folder, helm, release)
    assert status == 0, complaints
    (folder / "objects.yaml").write_text(objects)
    done = run("kubernetes-validate", "--strict", "--kubernetes-version", "1.34.0", str(folder / "objects.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    return objects


def _with(values: Any, text: str) -> Any:
    if isinstance(values, dict):
        return {key: _with(value, text) for key, value in values.items()}
    if isinstance(values, list):
        return [_with(value, text) for value in values]
    return text if values == "TEXT" else values


@both_helms
@pytest.mark.parametrize("place", PLACES)
def test_a_text_that_looks_like_a_number_stays_a_text(place: str, helm: str, tmp_path: Path) -> None:
    for text in ("123", "true"):
        _valid(_with(PLACES[place], text), tmp_path, helm)


@both_helms
@pytest.mark.parametrize("text", READ_AS_OTHER_TYPES)
def test_so_does_the_name_of_a_release(text: str, helm: str, tmp_path: Path) -> None:
    objects = _valid({"fullnameOverride": "voice"}, tmp_path, helm, release=text)
    assert f'app.kubernetes.io/instance: "{text}"' in objects


@both_helms
@pytest.mark.parametrize("words", REFUSED)
def test_what_only_a_cluster_would_notice_is_refused(words: str, helm: str, tmp_path: Path) -> None:
    status, _, complaints = _template(REFUSED[words], tmp_path, helm)
    assert status != 0
    expected = words.removeprefix("at '/").rstrip("'") if helm == "helm3" and words.startswith("at ") else words
    assert expected in complaints


@both_helms
@pytest.mark.parametrize("what", TAKEN)
def test_what_goes_together_is_taken(what: str, helm: str, tmp_path: Path) -> None:
    objects = _valid(TAKEN[what], tmp_path, helm)
    assert 'host: "Media' not in objects


@pytest.mark.parametrize("release", ["1calls", "voice.calls"])
def test_a_release_whose_name_no_service_may_have_is_refused(release: str, tmp_path: Path) -> None:
    status, _, complaints = _template({}, tmp_path, "helm", release)
    assert status != 0
    assert f"fullnameOverride: {release}-transcriber is no name of a Service" in complaints
