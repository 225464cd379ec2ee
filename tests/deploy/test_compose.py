"""The compose files: what they mount and name is there, no container has rights, and drains have their time."""

import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.process import ROOT, process, program, wait_until_ready
from tests.sample_events import until
from tests.store.test_topologies import free_port
from transcriber.settings.definition import Settings
from transcriber.store.redis import binary

DEPLOY = ROOT / "deploy"
FILES = ("compose.yaml", "compose.scale.yaml", "compose.monitoring.yaml")
SCALE = "compose.scale.yaml"
SPARE_S = 30
"""What a server needs beyond DRAIN_S."""
NPM_S = 60


def parsed(file: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / file).read_text())
    return found


def service(file: str, name: str) -> dict[str, Any]:
    """With what it extends: mappings are merged, the rest is replaced, which is enough for what is asked here."""
    own: dict[str, Any] = dict(parsed(file)["services"][name])
    if "extends" in own:
        base = service(own["extends"]["file"], own["extends"]["service"])
        environment = {**base.get("environment", {}), **own.get("environment", {})}
        own = {**base, **own, "environment": environment}
    return own


SERVICES = [(file, name) for file in FILES for name in parsed(file)["services"]]
SERVERS = [("compose.yaml", "server"), ("compose.yaml", "webhook"), (SCALE, "server-1"), (SCALE, "server-2")]


def seconds(text: str) -> int:
    number, unit = int(text[:-1]), text[-1]
    return number * {"s": 1, "m": 60, "h": 3600}[unit]


@pytest.fixture
def secrets_folder(tmp_path: Path) -> Path:
    """What compose-secrets.sh makes, and Twilio's token; readable for its owner only."""
    folder = tmp_path / "secrets"
    subprocess.run([DEPLOY / "compose-secrets.sh", folder], check=True, capture_output=True, timeout=20)
    (folder / "twilio-auth-token").write_text("12345" * 6 + "\n")
    for file in folder.iterdir():
        file.chmod(0o600)
    return folder


@pytest.mark.parametrize(("file", "name"), SERVICES)
def test_a_container_has_no_rights_and_its_image_is_one_version(file: str, name: str) -> None:
    found = service(file, name)
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found.get("cap_add", []) in ([], ["NET_BIND_SERVICE"])
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid", "ipc", "network_mode", "devices"} & set(found)
    assert re.fullmatch(r"[a-z0-9/_-]+:v?\d+(\.\d+)+(-alpine)?", found["image"]), found["image"]


@pytest.mark.parametrize(("file", "name"), SERVICES)
def test_it_is_asked_how_it_is_and_gets_time_to_stop(file: str, name: str) -> None:
    found = service(file, name)
    own_image = found["image"].startswith("transcriber:")
    assert own_image or "test" in found["healthcheck"], "the image of the project has a check of its own"
    drain_s = int(found.get("environment", {}).get("TRANSCRIBER_DRAIN_S", 0))
    assert seconds(found["stop_grace_period"]) > drain_s + (SPARE_S if own_image else 0)


@pytest.mark.parametrize(
    ("proxy", "server"), [(("compose.yaml", "caddy"), SERVERS[0]), ((SCALE, "haproxy"), SERVERS[2])]
)
def test_a_proxy_stays_as_long_as_its_servers(proxy: tuple[str, str], server: tuple[str, str]) -> None:
    assert seconds(service(*proxy)["stop_grace_period"]) >= seconds(service(*server)["stop_grace_period"])


@pytest.mark.parametrize(("file", "name"), SERVERS)
def test_every_setting_is_one(file: str, name: str) -> None:
    settings = {item.name.upper() for item in dataclasses.fields(Settings)}
    for variable in service(file, name)["environment"]:
        setting = variable.removeprefix("TRANSCRIBER_")
        assert setting != variable
        assert setting.removesuffix("_FILE") in settings


@pytest.mark.parametrize("file", FILES)
def test_what_is_mounted_is_there(file: str, secrets_folder: Path) -> None:
    document = parsed(file)
    made = {f"./secrets/{made.name}" for made in secrets_folder.iterdir()} | {"./secrets/tls.pem"}
    assert {secret["file"] for secret in document.get("secrets", {}).values()} <= made
    for name in document["services"]:
        for volume in service(file, name).get("volumes", []):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).is_file() if source.startswith(".") else source in document["volumes"]
        for secret in service(file, name).get("secrets", []):
            assert (secret if isinstance(secret, str) else secret["source"]) in document["secrets"]


@pytest.mark.parametrize(("file", "name"), SERVERS)
def test_every_secret_that_a_server_reads_is_mounted(file: str, name: str) -> None:
    found = service(file, name)
    read = {value for key, value in found["environment"].items() if key.endswith("_FILE")}
    assert read == {f"/run/secrets/{secret}" for secret in found["secrets"]}


def test_haproxy_finds_the_servers_and_its_certificate() -> None:
    configuration = (DEPLOY / "haproxy/haproxy.cfg").read_text()
    named = set(re.findall(r"^  server \w+ ([\d.]+):8080", configuration, re.MULTILINE))
    services = parsed(SCALE)["services"]
    assert named == {services[name]["networks"]["edge"]["ipv4_address"] for name in ("server-1", "server-2")}
    assert f"crt {services['haproxy']['secrets'][0]['target']}" in configuration


def test_secrets_are_made_once(secrets_folder: Path) -> None:
    before = {file.name: file.read_text() for file in secrets_folder.iterdir()}
    subprocess.run([DEPLOY / "compose-secrets.sh", secrets_folder], check=True, capture_output=True, timeout=20)
    assert before == {file.name: file.read_text() for file in secrets_folder.iterdir()}
    assert secrets_folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("umask", ["002", "077"])
def test_containers_read_the_token_that_is_put_in_by_hand(umask: str, tmp_path: Path) -> None:
    """A server refuses a secret that others may write to, and cannot read one that is its owner's alone."""
    by_hand = f"umask {umask}; {DEPLOY}/compose-secrets.sh {tmp_path}/s && echo token > {tmp_path}/s/twilio-auth-token"
    said = subprocess.run(["bash", "-c", by_hand], check=True, capture_output=True, text=True, timeout=20).stderr
    assert "auth token" in said
    assert all(file.stat().st_mode & 0o777 == 0o644 for file in (tmp_path / "s").iterdir())


def test_what_was_begun_is_completed_with_the_same_passwords(secrets_folder: Path) -> None:
    address = (secrets_folder / "redis-url").read_text()
    (secrets_folder / "redis-users.acl").unlink()
    subprocess.run([DEPLOY / "compose-secrets.sh", secrets_folder], check=True, capture_output=True, timeout=20)
    assert (secrets_folder / "redis-url").read_text() == address
    users = (secrets_folder / "redis-users.acl").read_text()
    monitoring = json.loads((secrets_folder / "redis-monitoring.json").read_text())["redis://redis:6379"]
    for password in (address.split(":")[2].partition("@")[0], monitoring):
        assert hashlib.sha256(password.encode()).hexdigest() in users


async def test_a_server_runs_on_the_redis_of_the_compose_file(tmp_path: Path, secrets_folder: Path) -> None:
    """Both with the settings and secrets that they get there; only addresses and paths are others."""
    folder = tmp_path / "redis"
    folder.mkdir()
    places = {
        "valkey-server": str(binary.find()),
        "/etc/redis/redis.conf": str(DEPLOY / "redis/redis.conf"),
        "/run/secrets/redis_users": str(secrets_folder / "redis-users.acl"),
        "*": "127.0.0.1",
        "/data": str(folder),
        "${REDIS_MEMORY:-1gb}": "1gb",
    }
    argv = [places.get(word, word) for word in service("compose.yaml", "redis")["command"]]
    port = free_port()
    address = (secrets_folder / "redis-url").read_text().replace("@redis:6379/", f"@127.0.0.1:{port}/")
    (secrets_folder / "redis-url").write_text(address)
    environment = {
        name: str(secrets_folder / value.removeprefix("/run/secrets/").replace("_", "-"))
        if name.endswith("_FILE")
        else value.replace("${PUBLIC_HOST:?the name that Twilio dials}", "media.example.net").replace(":9464", ":0")
        for name, value in service("compose.yaml", "server")["environment"].items()
    }
    async with program(*argv, "--port", str(port)), Redis(host="127.0.0.1", port=port) as stranger:

        async def ready() -> bool:
            with suppress(RedisConnectionError):
                with pytest.raises(AuthenticationError):
                    await stranger.ping()
                return True
            return False

        await until(ready)
        async with process("--data-dir", str(tmp_path / "data"), **environment) as server:
            await wait_until_ready(server)
        monitoring = json.loads((secrets_folder / "redis-monitoring.json").read_text())["redis://redis:6379"]
        async with Redis(host="127.0.0.1", port=port, username="monitoring", password=monitoring) as observer:
            assert (await observer.info("memory"))["maxmemory_policy"] == "noeviction"


@pytest.fixture(scope="module")
def dclint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program, which has the schema of compose files."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not here")
    folder = tmp_path_factory.mktemp("dclint")
    quick = ["--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0"]
    try:
        done = subprocess.run(
            ["npm", "install", *quick, "--prefix", str(folder), "dclint@3.1.0"], capture_output=True, timeout=NPM_S
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm cannot install dclint: no answer in {NPM_S} s")
    if done.returncode:
        pytest.skip(f"npm cannot install dclint: {done.stderr.decode()[-200:]}")
    return str(folder / "node_modules/.bin/dclint")


def lint(dclint: str, file: Path) -> subprocess.CompletedProcess[str]:
    # That the proxies' ports are open to everybody is what they are for.
    argv = [dclint, str(file), "--quiet", "--disable-rule", "no-unbound-port-interfaces"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


@pytest.mark.node
@pytest.mark.parametrize("file", FILES)
def test_the_files_follow_the_schema(dclint: str, file: str, tmp_path: Path) -> None:
    right = lint(dclint, DEPLOY / file)
    assert right.returncode == 0, right.stdout
    wrong = tmp_path / file
    wrong.write_text((DEPLOY / file).read_text().replace("read_only:", "read_onyl:", 1))
    assert lint(dclint, wrong).returncode != 0


@pytest.mark.deploy
def test_prometheus_can_read_its_configuration(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not here: make deploy")
    content = parsed("compose.monitoring.yaml")["configs"]["prometheus"]["content"]
    rules = DEPLOY / "prometheus/rules.yml"
    (tmp_path / "prometheus.yml").write_text(content.replace("/etc/prometheus/rules.yml", str(rules)))
    done = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
