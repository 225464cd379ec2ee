"""What the chart's objects say together: names that agree, times that fit, secrets that stay out of sight."""

import dataclasses
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.deploy.chart import (
    VALUES,
    Document,
    containers,
    documents,
    environment,
    named,
    pods,
)
from transcriber.cli.main import build_parser
from transcriber.settings.definition import Settings

WORKLOADS = ("Deployment", "StatefulSet")
SECRETS = ("pass-of-redis", "whsec_", "sha256:2310", "89abcdef0123456789abcdef01234567")
pytestmark = pytest.mark.chart
each_values = pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)


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
