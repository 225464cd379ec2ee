"""What the chart's pods are told is enough to run: the programs of rendered pods, with their environment and files."""

import asyncio
import json
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from tests.catalog.archive_server import NAME, ArchiveServer, model_zip
from tests.deploy.chart import Document, containers, documents, environment, pods
from tests.process import program, wait_for_line
from tests.webhooks.conftest import SECRET, Receiving

KEY = "tk_for-the-test-of-the-chart-and-nothing-else"
MOUNTS = ("/run/secrets/transcriber", "/run/secrets/test", "/data", "/models", "/tmp")
pytestmark = [pytest.mark.chart, pytest.mark.timeout(180)]


@dataclass
class Node:
    """Runs containers on this machine: their paths lie in `folder`, their ports are free ones."""

    folder: Path
    values: Path
    http: int
    metrics: int

    def mount(self) -> None:
        """The volumes, and in them what the Secrets hold."""
        for path in MOUNTS:
            (self.folder / path.strip("/")).mkdir(parents=True)
        (secret,) = documents(self.values, "Secret")
        for folder in ("run/secrets/transcriber", "run/secrets/test"):
            for name, text in {**secret["stringData"], "api_key": KEY}.items():
                file = self.folder / folder / name
                file.write_text(text)
                file.chmod(0o440)

    def here(self, text: str) -> str:
        """A value of a container as it is on this machine."""
        for path in MOUNTS:
            if text == path or text.startswith(f"{path}/"):
                return str(self.folder) + text
        for service in ("voice-transcriber-media", "voice-transcriber-api"):
            text = text.replace(f"{service}:80", f"127.0.0.1:{self.http}").replace(service, "127.0.0.1")
        return text.replace("0.0.0.0", "127.0.0.1").replace(":9464", f":{self.metrics}")

    @asynccontextmanager
    async def run(self, container: Document, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """The container's program; `more` stands instead of variables and arguments of a pod of its own."""
        told = {name: self.here(value) for name, value in environment(container).items()}
        if "TRANSCRIBER_PORT" in told:
            told["TRANSCRIBER_PORT"] = str(self.http)
        arguments = [more.get(argument, self.here(argument)) for argument in container["args"]]
        async with program(sys.executable, "-m", "transcriber", *arguments, environment=told) as child:
            yield child

    async def ask(self, container: Document, probe: str) -> int:
        """The status of a probe of the container."""
        wanted = container[probe]["httpGet"]
        port = {"http": self.http, "metrics": self.metrics}[wanted["port"]]
        return await status(f"{wanted['scheme'].lower()}://127.0.0.1:{port}{wanted['path']}")


async def status(url: str) -> int:
    def ask() -> int:
        try:
            with urllib.request.urlopen(url) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    return await asyncio.to_thread(ask)


@pytest.fixture
async def receiving(aiohttp_server: Callable[[web.Application], Awaitable[TestServer]]) -> Receiving:
    receiving = Receiving()
    receiving.url = str((await aiohttp_server(receiving.app())).make_url("/hook"))
    return receiving


@pytest.fixture
def node(tmp_path: Path, redis_url: str, receiving: Receiving) -> Node:
    values = tmp_path / "values.yaml"
    told = {
        "settings": {"redis_prefix": f"chart{secrets.token_hex(4)}", "workers": 1, "history_ttl_s": 600},
        "secret": {"values": {"redis_url": redis_url, "api_keys": KEY, "webhook_secret": SECRET}},
        "webhooks": [{"name": "crm", "url": receiving.url}],
        "test": {"apiKeySecretName": "test"},
    }
    values.write_text(yaml.safe_dump(told))
    node = Node(tmp_path / "node", values, unused_port(), unused_port())
    node.mount()
    return node


async def test_a_rendered_release_takes_a_call(node: Node, receiving: Receiving) -> None:
    """The server is ready, `helm test` passes with its sample call, the sender delivers it, SIGTERM ends the server."""
    found = {container["name"]: container for pod in pods(node.values) for container in containers(pod)}
    server, sender = found["transcriber"], found["webhook"]
    async with node.run(server) as serving:
        await wait_for_line(serving, b"ready on ")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert await node.ask(server, probe) == 200
        assert await status(f"http://127.0.0.1:{node.metrics}/metrics") == 200
        assert await status(f"http://127.0.0.1:{node.http}/metrics") in (401, 404)
        async with node.run(sender, **{"9464": str(unused_port())}) as sending:
            await wait_for_line(sending, b"webhook crm: new")
            for name in ("media", "api", "call"):
                async with node.run(found[name]) as test:
                    out, _ = await asyncio.wait_for(test.communicate(), 100)
                assert test.returncode == 0, out
            await receiving.until(lambda: any(event["type"] == "call.ended" for event in receiving.taken))
            assert any("department" in event.get("text", "") for event in receiving.taken)
            sending.terminate()
            assert await asyncio.wait_for(sending.wait(), 40) == 0
        serving.terminate()
        assert await asyncio.wait_for(serving.wait(), 60) == 0


async def test_a_release_test_without_a_server_fails(node: Node) -> None:
    found = {container["name"]: container for pod in pods(node.values) for container in containers(pod)}
    for name in ("media", "api", "call"):
        async with node.run(found[name]) as test:
            await asyncio.wait_for(test.communicate(), 100)
        assert test.returncode == 1


async def test_pods_for_readers_show_calls_and_take_none(node: Node) -> None:
    told = yaml.safe_load(node.values.read_text()) | {"api": {"enabled": True}, "webhooks": []}
    node.values = node.values.with_name("api.yaml")
    node.values.write_text(yaml.safe_dump(told))
    (reader,) = [pod for pod in pods(node.values) if "--no-media" in containers(pod)[-1]["args"]]
    server = containers(reader)[-1]
    async with node.run(server) as serving:
        await wait_for_line(serving, b"ready on ")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert await node.ask(server, probe) == 200
        assert await status(f"http://127.0.0.1:{node.http}/readyz") == 503
        serving.terminate()
        assert await asyncio.wait_for(serving.wait(), 60) == 0


async def test_the_init_container_of_a_model_downloads_it(
    node: Node, aiohttp_server: Callable[[web.Application], Awaitable[TestServer]]
) -> None:
    archives = ArchiveServer({f"{NAME}.zip": model_zip()})
    base = str((await aiohttp_server(archives.app())).make_url(""))
    archives.files["list.json"] = json.dumps([archives.row(NAME, f"{base}/{NAME}.zip")]).encode()
    told = yaml.safe_load(node.values.read_text()) | {"models": {"pull": [NAME, "no-such-model"]}}
    told["settings"] = {"model_list_url": f"{base}/list.json"}
    node.values = node.values.with_name("models.yaml")
    node.values.write_text(yaml.safe_dump(told))
    (pod,) = [pod for pod in pods(node.values) if "initContainers" in pod["spec"]]
    for container, returned in zip(pod["spec"]["initContainers"], (0, 1), strict=True):
        async with node.run(container) as child:
            out, _ = await asyncio.wait_for(child.communicate(), 60)
        assert child.returncode == returned, out
    assert [folder.name for folder in (node.folder / "models").glob("vosk*")] == [NAME]
