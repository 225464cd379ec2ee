"""The programs in deploy/examples do what they say: no final is missed, across a restart of Redis, too."""

import asyncio
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.process import program
from tests.web.written_call import WrittenCall
from tests.webhooks.conftest import SECRET, Receiving, Send, receiving, send
from transcriber.store.redis.private_server import PrivateRedis, socket_path
from transcriber.store.redis_store import RedisStore, open_store

__all__ = ["receiving", "send"]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "deploy/examples"
NPM_S = 60


async def line(child: asyncio.subprocess.Process) -> str:
    """The next line it prints."""
    assert child.stdout is not None
    return (await asyncio.wait_for(child.stdout.readline(), 20)).decode().rstrip("\n")


@asynccontextmanager
async def written(folder: Path, call: WrittenCall | None = None) -> AsyncIterator[WrittenCall]:
    """A call on the private Redis of that folder, which begins or goes on."""
    async with PrivateRedis(folder) as server, await open_store(server.url, prefix="transcripts", ttl_s=0) as store:
        if call is None:
            call = await WrittenCall.begin(store.event_log, "CA1")
        call.event_log = store.event_log
        yield call


async def shows_every_final(folder: Path, *command: str, **environment: str) -> None:
    """History, what is said live, what was said before it could listen again, and the end of the call."""
    async with AsyncExitStack() as stack:
        async with written(folder) as call:
            await call.end()
            call = await WrittenCall.begin(call.event_log, "CA1", stream_sid="MZresumed")
            await call.say('the "history" \\o/')
            child = await stack.enter_async_context(
                program(*command, environment=environment, errors=asyncio.subprocess.DEVNULL)
            )
            shown = [await line(child)]
            await call.publish_partial("li")
            await call.say("live")
            shown.append(await line(child))
        async with written(folder, call):
            await call.say("after the restart")
            await call.say("and more")
            await call.end()
            shown += [await line(child), await line(child), await line(child)]
            assert await asyncio.wait_for(child.wait(), 20) == 0
    said = [text.replace('\\"', '"').replace("\\\\", "\\").partition("caller: ")[2] for text in shown]
    assert said == ['the "history" \\o/', "live", "after the restart", "and more", ""]


async def test_python_subscriber(tmp_path: Path) -> None:
    url = f"unix://{socket_path(tmp_path)}"
    await shows_every_final(tmp_path, sys.executable, str(EXAMPLES / "subscribe.py"), "CA1", REDIS_URL=url)


@pytest.mark.node
@pytest.mark.timeout(180)
async def test_node_subscriber(tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not here")
    program_folder = tmp_path / "program"
    shutil.copytree(EXAMPLES, program_folder)
    quick = ("--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=0", "--fetch-timeout=20000")
    async with program(npm, "install", *quick, "--prefix", str(program_folder)) as child:
        try:
            out, _ = await asyncio.wait_for(child.communicate(), NPM_S)
        except TimeoutError:
            pytest.skip(f"npm cannot install the redis package: no answer in {NPM_S} s")
    if child.returncode:
        pytest.skip(f"npm cannot install the redis package: {out.decode()[-200:]}")
    script, socket = str(program_folder / "subscribe.mjs"), str(socket_path(tmp_path / "redis"))
    await shows_every_final(tmp_path / "redis", node, script, "CA1", REDIS_SOCKET=socket)


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="redis-cli is not here")
async def test_shell_captions(tmp_path: Path) -> None:
    await shows_every_final(tmp_path, str(EXAMPLES / "captions.sh"), "CA1", "-s", str(socket_path(tmp_path)))


async def test_webhook_receiver(receiving: Receiving, send: Send, store: RedisStore) -> None:
    command = (sys.executable, str(EXAMPLES / "receive_webhook.py"), "0")
    async with program(*command, environment={"WEBHOOK_SECRET": SECRET}, errors=asyncio.subprocess.DEVNULL) as child:
        receiving.url = (await line(child)).removeprefix("receiving on ")
        call = await WrittenCall.begin(store.event_log, "CA1")
        await call.say("hello")
        async with send():
            assert await line(child) == "CA1 3  caller: hello"
        async with send(name="another"):  # the same events again: known by their ids
            await call.end()
            assert await line(child) == "CA1 5  call.ended"
        for headers in ({}, {"webhook-id": "CA1_3", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}):
            assert await asyncio.to_thread(posted, receiving.url, headers) == 401


def posted(url: str, headers: dict[str, str]) -> int:
    """The status of a forged post."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, b"{}", headers))
    with refused.value as answer:
        return int(answer.code)


async def test_the_guide_shows_the_python_subscriber() -> None:
    assert (EXAMPLES / "subscribe.py").read_text() in (ROOT / "docs/pages/how-to/subscribe.md").read_text()


async def test_every_example_is_listed() -> None:
    listed = set(re.findall(r"^\| `([\w.]+)", (EXAMPLES / "README.md").read_text(), re.MULTILINE))
    assert listed == {path.name for path in EXAMPLES.iterdir()} - {"README.md", "package.json", "node_modules"}
