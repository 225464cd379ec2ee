"""A data directory that the version before the layout by feature wrote, its server killed: this version reads it.

`old_data/README.md` says what lies in it; `old_data/answers.json.xz` is what that version itself answered when it was
started on a copy.
"""

import asyncio
import json
import lzma
import os
import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis
from standardwebhooks.webhooks import Webhook

from tests.process import ROOT, command, process, program
from tests.sample_events import until

HERE = Path(__file__).parent / "old_data"
SECRET = "whsec_" + "c2VjcmV0" * 5
ENVIRONMENT = {
    "TRANSCRIBER_HISTORY_TTL_S": "0",
    "TRANSCRIBER_TRUSTED_PROXIES": "192.0.2.1",
    "TRANSCRIBER_WEBHOOK_SECRET": SECRET,
}
KEPT = ("CAcomplete", "CAtwostreams", "CAunsent", "CAoutbox", "CAjournal")
QUERIES = ("department", "hotel", '"wrong department"', "techn*", "left minutes", "stay on the line")
MODEL_WRITTEN_S = 1_700_000_000
TRIED_WITH = ("0.3.45", "x86_64")
"""Vosk and machine of the note that the model was tried."""


@dataclass
class Old:
    """A server on an unpacked copy."""

    url: str
    key: str
    data: Path
    lines: list[str] = field(default_factory=list)

    async def get(self, path: str, *, key: str | None = None) -> tuple[int, str]:
        """A route's status and body."""
        headers = {"Authorization": f"Bearer {key or self.key}"}
        async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{self.url}{path}") as answer:
            return answer.status, await answer.text()

    def redis(self) -> Redis:
        """The server's own Redis."""
        return Redis.from_url(f"unix://{self.data}/redis/redis.sock", decode_responses=True)


def unpack(folder: Path) -> Path:
    """The data directory, as if it had been left just now: what lies for 90 days is not delivered any more."""
    data = folder / "data"
    with tarfile.open(HERE / "data.tar.xz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # the first releases of 3.11 have none
        archive.extractall(data)
    for path in data.rglob("*"):
        os.utime(path)
    return data


def tried_model(folder: Path) -> Path:
    """The model that the old server had tried: the bundled one, one file more, with the times it had."""
    model = folder / "tried-model"
    shutil.copytree(ROOT / "models" / "en-demo", model)
    (model / "changed.txt").write_text("not the bundled model any more\n")
    for path in model.rglob("*"):
        os.utime(path, (MODEL_WRITTEN_S, MODEL_WRITTEN_S))
    return model


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Old]:
    """A server on a copy, once everything that was left is delivered."""
    data = unpack(folder)
    flags = ("--data-dir", str(data), "--model", str(tried_model(folder)), "--journal", "1", "--drain-s", "0")
    async with process(*flags, **ENVIRONMENT) as child:
        old = Old("", (data / "api-key").read_text().strip(), data)
        reading = asyncio.create_task(_read(child, old.lines))

        async def answering() -> bool:
            old.url = next((line.split("ready on ")[1].split(";")[0] for line in old.lines if "ready on" in line), "")
            return bool(old.url)

        async def settled() -> bool:
            _, text = await old.get("/v1/calls?status=live")
            left = [path for path in (data / "outbox").glob("*/*") if path.name.startswith("MZ")]
            return not json.loads(text)["calls"] and not left

        try:
            await until(answering, within_s=40)
            await until(settled, within_s=40)
            yield old
            child.terminate()
            await asyncio.wait_for(child.wait(), 20)
        finally:
            reading.cancel()
            await asyncio.wait((reading,))


async def _read(child: asyncio.subprocess.Process, lines: list[str]) -> None:
    assert child.stdout is not None
    async for line in child.stdout:
        lines.append(line.decode())  # noqa: PERF401 - each at once


async def answers(old: Old) -> dict[str, Any]:
    """All that can be asked about history, moments of this start left out."""
    paths = ["/v1/calls", "/v1/calls?status=ended", "/v1/calls?status=interrupted", "/v1/calls/CAdeleted"]
    paths += [f"/v1/calls?q={query.replace(chr(34), '%22').replace(' ', '+')}" for query in QUERIES]
    for call_sid in KEPT:
        paths += [f"/v1/calls/{call_sid}", f"/v1/calls/{call_sid}/events"]
        paths += [f"/v1/calls/{call_sid}/transcript?format={form}" for form in ("json", "txt", "vtt", "srt", "csv")]
    found = {}
    for path in paths:
        status, text = await old.get(path)
        found[path] = [status, _timeless(text)]
    async with old.redis() as client:
        for call_sid in KEPT:
            rows: Any = await client.xrange(f"transcripts:{{{call_sid}}}:events")
            found[f"kept {call_sid}"] = [[number, _timeless(fields["event"])] for number, fields in rows]
    return found


def _timeless(text: str) -> str:
    """Without the moments at which this start ended what was left."""
    if "CAjournal" not in text and "CAoutbox" not in text:
        return text
    text = re.sub(r'("(?:at|ended_at)": ?)"[^"]*"', r'\1""', text)
    return re.sub(r'("duration_ms": ?)\d+', r"\g<1>0", text)


@pytest.mark.timeout(120)
async def test_it_answers_as_the_old_version_did_and_leaves_nothing_undelivered(tmp_path: Path) -> None:
    expected = json.loads(lzma.decompress((HERE / "answers.json.xz").read_bytes()))
    with tempfile.TemporaryDirectory(prefix="old-") as folder:
        async with started(Path(folder)) as old:
            got = await answers(old)
            assert got.keys() == expected.keys()
            for asked, answer in expected.items():
                assert got[asked] == answer, asked
            assert (await old.get("/v1/calls", key="another key of the right length"))[0] == 401
            await _nothing_of_the_deleted_call(old)
            await _webhook_goes_on(old)
            assert (old.data / "redis" / "erasure-pending").exists()
        assert not (old.data / "redis" / "erasure-pending").exists()
        assert not list(old.data.glob("outbox/*"))
        tried = sorted(path.name for path in (old.data / "models" / ".tried").iterdir())
        if (metadata.version("vosk"), os.uname().machine) == TRIED_WITH:
            assert len(tried) == 1
            assert not any("trying tried-model" in line for line in old.lines)
        assert not any("Traceback" in line for line in old.lines)


async def _nothing_of_the_deleted_call(old: Old) -> None:
    """Its words wait in the folder of a dead server, put back from before the deletion; its marker refuses them."""
    async with old.redis() as client:
        assert [key async for key in client.scan_iter("*CAdeleted*")] == ["transcripts:{CAdeleted}:deleted"]
    assert any("the stream is refused (deleted)" in line for line in old.lines)


async def _webhook_goes_on(old: Old) -> None:
    """What was not sent is, what was is not sent again, and the dead letters are where they were."""
    data = {"TRANSCRIBER_DATA_DIR": str(old.data)}
    status, dead = await command("webhook", "--name", "crm", "--dead", "--json", **ENVIRONMENT, **data)
    assert status == 0
    letters = [json.loads(line) for line in dead.splitlines()]
    assert {(letter["call_sid"], letter["reason"], letter["attempts"]) for letter in letters} == {
        ("CAtwostreams", "400", 1)
    }
    taken: list[dict[str, Any]] = []

    async def hook(request: web.Request) -> web.Response:
        taken.append(Webhook(SECRET).verify(await request.read(), dict(request.headers)))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook", hook)
    async with TestServer(app) as receiver:
        argv = (sys.executable, "-m", "transcriber", "webhook", str(receiver.make_url("/hook")), "--name", "crm")
        async with program(*argv, environment=ENVIRONMENT | data) as sender:

            async def sent() -> bool:
                ends = {event["call_sid"] for event in taken if event["type"] == "call.ended"}
                return ends == {"CAunsent", "CAoutbox", "CAjournal"}

            await until(sent, within_s=30)
            sender.terminate()
            await asyncio.wait_for(sender.communicate(), 20)
    assert {event["call_sid"] for event in taken} == {"CAunsent", "CAoutbox", "CAjournal"}
