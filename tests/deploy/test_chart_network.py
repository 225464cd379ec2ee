"""Who reaches whom in a rendered release: selectors, ports, public paths, metrics, the network policy."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.deploy.chart import (
    CHART,
    VALUES,
    containers,
    documents,
    environment,
    named,
    pods,
    rendered,
    selects,
    values_of,
)

WORKLOADS = ("Deployment", "StatefulSet")
pytestmark = pytest.mark.chart
each_values = pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)


@each_values
def test_selectors_find_exactly_their_pods(values: Path) -> None:
    for document in documents(values):
        if document["kind"] in WORKLOADS:
            selector = document["spec"]["selector"]["matchLabels"]
            found = [pod for pod in pods(values) if selects(selector, pod)]
            assert found == [document["spec"]["template"]]
        elif document["kind"] in ("Service", "PodDisruptionBudget"):
            selector = document["spec"]["selector"]
            assert len([pod for pod in pods(values) if selects(selector.get("matchLabels", selector), pod)]) == 1


@each_values
def test_every_port_that_is_named_is_there(values: Path) -> None:
    services = {d["metadata"]["name"]: d["spec"] for d in documents(values, "Service")}
    for spec in services.values():
        (pod,) = [pod for pod in pods(values) if selects(spec["selector"], pod)]
        names = {port["name"] for container in containers(pod) for port in container.get("ports", [])}
        assert {port["targetPort"] for port in spec["ports"]} <= names
    for container in (container for pod in pods(values) for container in containers(pod)):
        ports = {port["name"]: str(port["containerPort"]) for port in container.get("ports", [])}
        probes = [container[kind] for kind in container if kind.endswith("Probe")]
        assert {probe["httpGet"]["port"] for probe in probes} <= set(ports)
        told = environment(container)
        if "serve" in container["args"]:
            assert told["TRANSCRIBER_PORT"] == ports["http"]
            assert told["TRANSCRIBER_METRICS_ADDRESS"].endswith(f":{ports['metrics']}")
    for path, service, port in _public(values):
        assert port in [item["port"] for item in services[service]["ports"]], path


@each_values
def test_health_and_metrics_are_never_public(values: Path) -> None:
    paths = [path for path, _, _ in _public(values)]
    assert not [path for path in paths if re.match(r"/(metrics|readyz|healthz)", path)]
    assert ("/" in paths) <= ("/docs" in paths)


def _public(values: Path) -> list[tuple[str, str, int]]:
    """(path, Service, port) of what an Ingress or HTTPRoute lets in."""
    found = []
    for ingress in documents(values, "Ingress"):
        for path in ingress["spec"]["rules"][0]["http"]["paths"]:
            service = path["backend"]["service"]
            found.append((path["path"], service["name"], service["port"]["number"]))
    for route in documents(values, "HTTPRoute"):
        rules = [(rule["matches"][0]["path"], rule["backendRefs"][0]) for rule in route["spec"]["rules"]]
        found += [(path["value"], backend["name"], backend["port"]) for path, backend in rules]
    return found


@pytest.mark.parametrize("name", ["ingress", "gateway"])
def test_every_route_of_the_server_but_health_is_public(name: str) -> None:
    source = (Path(__file__).parents[2] / "transcriber/web/app.py").read_text()
    routes = set(re.findall(r'"(/[^"]*)", \w+\.\w+', source)) - {"/healthz", "/readyz", "/metrics"}
    public = [path for path, _, _ in _public(values_of(name))]
    exact = {"/", "/docs", "/openapi.json", "/asyncapi.json", "/v1/twiml", "/v1/stream-status", "/v1/sample-calls"}
    assert len(routes) > 15
    for route in routes:
        assert route in public or any(route.startswith(f"{path}/") for path in set(public) - exact), route


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("ingress", "api"),
        ("gateway", "api"),
        ("gateway-twilio", "api"),
        ("ingress-twilio", "media"),
        ("everything", "media"),
    ],
)
def test_the_voice_webhook_goes_where_it_is_answered_with_a_stream(name: str, service: str) -> None:
    """To any pod if the proxy says that others may take the stream, else to one that has room."""
    public = {path: backend for path, backend, _ in _public(values_of(name))}
    assert public["/v1/twiml"].endswith(f"-{service}")
    assert public["/v1/media"].endswith("-media")
    assert public.get("/v1/sample-calls", "-media").endswith("-media")
    says = "X-Other-Servers" in rendered(values_of(name))
    assert says == (service == "api")


def test_a_full_pod_leaves_the_media_service_and_stays_in_the_api_service() -> None:
    media, api = (
        named(values_of("least"), "Service", f"voice-transcriber-{name}")["spec"] for name in ("media", "api")
    )
    assert media["selector"] == api["selector"]
    assert "publishNotReadyAddresses" not in media
    assert api["publishNotReadyAddresses"]


def test_with_pods_for_readers_the_api_is_theirs() -> None:
    api = named(values_of("api"), "Service", "voice-transcriber-api")["spec"]
    (pod,) = [pod for pod in pods(values_of("api")) if selects(api["selector"], pod)]
    assert containers(pod)[0]["args"] == ["serve", "--no-media"]


def test_the_monitor_finds_the_metrics_of_every_pod() -> None:
    path = values_of("everything")
    monitor = documents(path, "ServiceMonitor")[0]["spec"]
    services = [
        d
        for d in documents(path, "Service")
        if monitor["selector"]["matchLabels"].items() <= d["metadata"]["labels"].items()
    ]
    found = [pod for service in services for pod in pods(path) if selects(service["spec"]["selector"], pod)]
    assert len(found) == 3
    for service in services:
        assert monitor["endpoints"][0]["port"] in [port["name"] for port in service["spec"]["ports"]]


def test_rules_and_board_reach_the_cluster_whole() -> None:
    path, files = values_of("everything"), CHART / "files"
    rules = documents(path, "PrometheusRule")[0]["spec"]
    published = (
        (files / "rules.yml")
        .read_text()
        .replace("https://docs.example.net/transcriber", "https://docs.example.org/voice")
    )
    assert rules == yaml.safe_load(published)
    board = documents(path, "ConfigMap")[0]["data"]["transcriber.json"]
    assert json.loads(board) == json.loads((files / "transcriber.json").read_text())


def test_the_network_policy_lets_in_and_out_what_is_needed() -> None:
    spec = documents(values_of("everything"), "NetworkPolicy")[0]["spec"]
    assert all(selects(spec["podSelector"]["matchLabels"], pod) for pod in pods(values_of("everything")))
    assert [port["port"] for rule in spec["ingress"] for port in rule["ports"]] == ["http", "metrics"]
    assert all(rule["from"] for rule in spec["ingress"])
    ports = [port["port"] for rule in spec["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 6379, 26379, "http", 443]
    (internet,) = [
        rule
        for rule in documents(values_of("least"), "NetworkPolicy")[0]["spec"]["egress"]
        if rule["ports"][0]["port"] == 443
    ]
    assert "169.254.0.0/16" in internet["to"][0]["ipBlock"]["except"]
