"""What the chart's objects say together: names that agree, times that fit, secrets that stay out of sight."""

import dataclasses
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.deploy.chart import VALUES, Document, containers, documents, environment, named, pods, rendered, selects
from transcriber.cli.main import build_parser
from transcriber.settings.definition import Settings

WORKLOADS = ("Deployment", "StatefulSet")
SECRETS = ("pass-of-redis", "whsec_", "sha256:2310", "89abcdef0123456789abcdef01234567")
pytestmark = pytest.mark.chart
each_values = pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)


def values(name: str) -> Path:
    return next(path for path in VALUES if path.stem == name)


def servers(path: Path) -> list[Document]:
    return [pod for pod in pods(path) if containers(pod)[-1].get("args", [])[:1] == ["serve"]]


@each_values
def test_every_variable_is_a_setting_and_every_value_a_good_one(values: Path) -> None:
    parsers = {item.name: item.metadata["parse"] for item in dataclasses.fields(Settings)}
    for pod in pods(values):
        for container in containers(pod):
            for name, value in environment(container).items():
                if name.startswith("TRANSCRIBER_") and not name.endswith(("_FILE", "_TLS_CERT", "_TLS_KEY")):
                    parsers[name.removeprefix("TRANSCRIBER_").lower()](value)
                elif name.endswith("_FILE"):
                    assert name.removeprefix("TRANSCRIBER_").removesuffix("_FILE").lower() in parsers


@each_values
def test_every_program_knows_its_arguments(values: Path) -> None:
    for pod in pods(values):
        for container in containers(pod):
            build_parser().parse_args(container["args"])


@each_values
def test_every_file_that_a_variable_names_is_mounted(values: Path) -> None:
    for pod in pods(values):
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        claimed = {"data"} if any(d["kind"] == "StatefulSet" for d in documents(values)) else set()
        for container in containers(pod):
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert set(mounts.values()) <= set(volumes) | claimed
            for name, file in environment(container).items():
                if name.endswith("_FILE"):
                    volume = volumes[mounts[str(Path(file).parent)]]
                    assert Path(file).name in [item["path"] for item in volume["secret"]["items"]]


@each_values
def test_no_secret_stands_outside_the_secret(values: Path) -> None:
    for document in documents(values):
        assert document["kind"] == "Secret" or not any(secret in str(document) for secret in SECRETS)


@each_values
def test_a_server_never_sees_what_senders_sign_with_and_a_sender_no_key(values: Path) -> None:
    for pod in pods(values):
        items = [i["key"] for v in pod["spec"]["volumes"] if v["name"] == "secrets" for i in v["secret"]["items"]]
        if pod in servers(values):
            assert not [key for key in items if key.startswith("webhook_secret")]
        elif items:
            assert set(items) == {"redis_url", next(key for key in items if key.startswith("webhook_secret"))}


@each_values
def test_a_pod_has_time_to_drain(values: Path) -> None:
    assert servers(values)
    for pod in servers(values):
        drain = int(environment(containers(pod)[-1])["TRANSCRIBER_DRAIN_S"])
        sleep = containers(pod)[-1]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["spec"]["terminationGracePeriodSeconds"] == sleep + drain + 45


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
def test_probes_ask_for_what_is_served_in_the_way_it_is(values: Path) -> None:
    for pod in servers(values):
        container = containers(pod)[-1]
        for kind, path in (("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
            asked = container[kind]["httpGet"]
            assert urlsplit(asked["path"]).path == path
            assert asked["scheme"] == ("HTTPS" if "TRANSCRIBER_TLS_CERT" in environment(container) else "HTTP")


@each_values
def test_every_container_is_confined(values: Path) -> None:
    for pod in pods(values):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["enableServiceLinks"] is False
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]
            assert "memory" in container["resources"]["limits"]
            assert "cpu" in container["resources"]["requests"]


@each_values
def test_there_is_one_autoscaler_at_most_and_nobody_else_sets_the_replicas(values: Path) -> None:
    scalers = [d for kind in ("HorizontalPodAutoscaler", "ScaledObject") for d in documents(values, kind)]
    assert len(scalers) == (values.stem in ("hpa", "keda", "everything"))
    workload = next(
        d for d in documents(values) if d["kind"] in WORKLOADS and not d["metadata"]["name"].endswith("-api")
    )
    assert ("replicas" in workload["spec"]) == (not scalers)
    for scaler in scalers:
        target = scaler["spec"]["scaleTargetRef"]
        named(values, target["kind"], target["name"])


@each_values
def test_what_is_measured_is_what_is_guaranteed(values: Path) -> None:
    (pod,) = [pod for pod in servers(values) if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "media"]
    resources = containers(pod)[-1]["resources"]
    assert resources["requests"] == resources["limits"]


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
    public = [path for path, _, _ in _public(values(name))]
    exact = {"/", "/docs", "/openapi.json", "/asyncapi.json", "/v1/twiml", "/v1/stream-status"}
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
    public = {path: backend for path, backend, _ in _public(values(name))}
    assert public["/v1/twiml"].endswith(f"-{service}")
    assert public["/v1/media"].endswith("-media")
    says = "X-Other-Servers" in rendered(values(name))
    assert says == (service == "api")


def test_a_full_pod_leaves_the_media_service_and_stays_in_the_api_service() -> None:
    media, api = (named(values("least"), "Service", f"voice-transcriber-{name}")["spec"] for name in ("media", "api"))
    assert media["selector"] == api["selector"]
    assert "publishNotReadyAddresses" not in media
    assert api["publishNotReadyAddresses"]


def test_with_pods_for_readers_the_api_is_theirs() -> None:
    api = named(values("api"), "Service", "voice-transcriber-api")["spec"]
    (pod,) = [pod for pod in pods(values("api")) if selects(api["selector"], pod)]
    assert containers(pod)[0]["args"] == ["serve", "--no-media"]


def test_the_monitor_finds_the_metrics_of_every_pod() -> None:
    path = values("everything")
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
