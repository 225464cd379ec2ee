"""Downloads against a real server that cuts, forgets, changes its file and refuses."""

import asyncio
import json
import ssl
from pathlib import Path

import pytest
import trustme
from aiohttp import ClientSession, TCPConnector, web
from aiohttp.test_utils import TestServer

from tests.catalog.archive_server import FLOOD_BYTES, ArchiveServer
from tests.catalog.conftest import RecordedProgress, Serve
from transcriber.catalog.download import Limits, PartFile, Progress, fetch, fetch_text
from transcriber.errors import NotEnoughSpace, SourceFailed

DATA = bytes(range(256)) * 4000
MOST = 2 * len(DATA)


@pytest.fixture
def archive_server() -> ArchiveServer:
    return ArchiveServer({"x.zip": DATA})


@pytest.fixture
def part(tmp_path: Path) -> PartFile:
    return PartFile(tmp_path / "x.part")


async def get(
    serve: Serve,
    archive_server: ArchiveServer,
    part: PartFile,
    reporter: RecordedProgress,
    *,
    path: str = "x.zip",
    limits: Limits | None = None,
) -> None:
    """The download, from a server of its own address each time."""
    server = await serve(archive_server.app())
    url, limits = str(server.make_url(f"/{path}")), limits or Limits(MOST)
    await fetch(url, part, reporter, require_space=lambda _: None, limits=limits)


async def test_a_file_comes_whole_and_its_progress_is_told(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress
) -> None:
    await get(aiohttp_server, archive_server, part, reporter)
    assert part.path.read_bytes() == DATA
    assert reporter.bytes[0] == (0, len(DATA))
    assert reporter.bytes[-1] == (len(DATA), len(DATA))
    assert reporter.lines == []


async def test_a_cut_is_followed_by_a_request_for_the_rest(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress
) -> None:
    archive_server.cuts = [300_000, 400_000]
    await get(aiohttp_server, archive_server, part, reporter)
    assert part.path.read_bytes() == DATA
    first, second, third = (wanted for _, wanted in archive_server.requests)
    assert first == ""
    assert 0 < int(second.removeprefix("bytes=")[:-1]) < int(third.removeprefix("bytes=")[:-1]) < len(DATA)
    assert len([line for line in reporter.lines if line.endswith("asking for the rest")]) == 2


async def test_a_source_that_brings_nothing_is_given_up_and_the_rest_kept(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress
) -> None:
    server = await aiohttp_server(archive_server.app())
    url = str(server.make_url("/x.zip"))
    archive_server.cuts = [300_000, 0, 0]
    with pytest.raises(SourceFailed, match="broke at 300,000 bytes"):
        await fetch(url, part, reporter, require_space=lambda _: None, limits=Limits(MOST))
    assert part.path.read_bytes() == DATA[:300_000]
    await fetch(url, part, reporter, require_space=lambda _: None, limits=Limits(MOST))
    assert archive_server.requests[-1] == ("x.zip", "bytes=300000-")
    assert part.path.read_bytes() == DATA
    await fetch(url, part, reporter, require_space=lambda _: None, limits=Limits(MOST))
    assert len(archive_server.requests) == 4


async def test_an_interruption_keeps_what_came(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress
) -> None:
    server = await aiohttp_server(archive_server.app())
    url = str(server.make_url("/x.zip"))
    some = asyncio.Event()

    class Watching(RecordedProgress):
        def progress(self, done: int, total: int | None) -> None:
            if done:
                some.set()
                downloading.cancel()

    downloading = asyncio.create_task(fetch(url, part, Watching(), require_space=lambda _: None, limits=Limits(MOST)))
    await asyncio.wait_for(some.wait(), 10)
    with pytest.raises(asyncio.CancelledError):
        await downloading
    kept = part.size
    assert kept > 0
    await fetch(url, part, reporter, require_space=lambda _: None, limits=Limits(MOST))
    assert part.path.read_bytes() == DATA
    if kept < len(DATA):
        assert archive_server.requests[-1] == ("x.zip", f"bytes={kept}-")


@pytest.mark.parametrize("etag", [True, False])
async def test_a_server_that_ignores_ranges_sends_all_again(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress, etag: bool
) -> None:
    archive_server.ranges, archive_server.etag, archive_server.cuts = False, etag, [300_000]
    await get(aiohttp_server, archive_server, part, reporter)
    assert part.path.read_bytes() == DATA
    assert archive_server.requests[-1][1] == "bytes=300000-"


async def test_a_file_that_changed_meanwhile_is_not_glued_together(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress
) -> None:
    other = DATA[::-1] + b"more"

    def change(_: str) -> None:
        if len(archive_server.requests) == 2:
            archive_server.files["x.zip"] = other

    archive_server.cuts, archive_server.on_request = [300_000], change
    await get(aiohttp_server, archive_server, part, reporter)
    assert part.path.read_bytes() == other


async def test_without_a_validator_the_length_tells_another_file(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress
) -> None:
    def change(_: str) -> None:
        if len(archive_server.requests) == 2:
            archive_server.files["x.zip"] = DATA + b"more"

    archive_server.cuts, archive_server.on_request, archive_server.etag = [300_000], change, False
    await get(aiohttp_server, archive_server, part, reporter)
    assert part.path.read_bytes() == DATA + b"more"
    assert [wanted for _, wanted in archive_server.requests] == ["", "bytes=300000-", ""]
    assert any("has another file now" in line for line in reporter.lines)


async def test_another_address_starts_again(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress
) -> None:
    part.path.write_bytes(b"something else")
    part.notes.write_text(json.dumps({"url": "http://elsewhere.example/x.zip", "total": 20, "validator": '"a"'}))
    await get(aiohttp_server, archive_server, part, reporter)
    assert archive_server.requests == [("x.zip", "")]
    assert part.path.read_bytes() == DATA


@pytest.mark.parametrize("notes", ["", "[]", "{", '{"other": 1}'])
async def test_notes_that_make_no_sense_start_again(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress, notes: str
) -> None:
    part.path.write_bytes(b"something else")
    part.notes.write_text(notes)
    await get(aiohttp_server, archive_server, part, reporter)
    assert part.path.read_bytes() == DATA


async def test_refusals_and_absence_are_said(
    aiohttp_server: Serve,
    unused_tcp_port: int,
    archive_server: ArchiveServer,
    part: PartFile,
    reporter: RecordedProgress,
) -> None:
    with pytest.raises(SourceFailed, match=r"127\.0\.0\.1 answered 404 Not Found"):
        await get(aiohttp_server, archive_server, part, reporter, path="y.zip")
    for url, says in (
        (f"http://127.0.0.1:{unused_tcp_port}/x.zip", "cannot be reached"),
        ("http://name.invalid/x.zip", "cannot be reached"),
        ("http://", "leads nowhere"),
    ):
        with pytest.raises(SourceFailed, match=says):
            await fetch(url, part, reporter, require_space=lambda _: None, limits=Limits(MOST))


async def test_room_is_asked_for_before_the_first_byte(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress
) -> None:
    asked: list[int] = []

    def full(to_come: int) -> None:
        asked.append(to_come)
        raise NotEnoughSpace("full")

    server = await aiohttp_server(archive_server.app())
    with pytest.raises(NotEnoughSpace, match="full"):
        await fetch(str(server.make_url("/x.zip")), part, reporter, require_space=full, limits=Limits(MOST))
    assert asked == [len(DATA)]
    assert part.size == 0


async def test_a_disk_that_fills_up_keeps_what_came(
    aiohttp_server: Serve, archive_server: ArchiveServer, tmp_path: Path, reporter: RecordedProgress
) -> None:
    full = PartFile(Path("/dev/full"))
    with pytest.raises(NotEnoughSpace, match="No space left on device"):
        full.append(b"x")
    part = PartFile(tmp_path / "nowhere" / "x.part")
    with pytest.raises(NotEnoughSpace, match="No such file"):
        part.append(b"x")
    with pytest.raises(NotEnoughSpace, match="No such file"):
        part.restart(Progress("http://h/"))


async def test_a_text_comes_once(aiohttp_server: Serve, archive_server: ArchiveServer) -> None:
    archive_server.files["list.json"] = "[ü]".encode()
    server = await aiohttp_server(archive_server.app())
    url = str(server.make_url("/list.json"))
    answer = await fetch_text(url)
    assert answer is not None
    text, etag = answer
    assert text == "[ü]"
    assert await fetch_text(url, etag=etag) is None
    archive_server.files["list.json"] = bytes(9 * 1024**2)
    with pytest.raises(SourceFailed, match="sends too much"):
        await fetch_text(url)


async def test_a_server_that_never_ends_is_left_at_the_most_there_can_be(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress
) -> None:
    archive_server.endless = {"x.zip"}
    with pytest.raises(SourceFailed, match=rf"where {MOST:,} are the most there can be: stopped"):
        await get(aiohttp_server, archive_server, part, reporter)
    assert max(done for done, _ in reporter.bytes) <= MOST
    assert archive_server.sent < FLOOD_BYTES
    assert part.size == 0


async def test_a_length_beyond_the_most_is_refused_before_it_comes(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress
) -> None:
    archive_server.files["x.zip"] = bytes(MOST + 1)
    with pytest.raises(SourceFailed, match=rf"sends {MOST + 1:,} bytes"):
        await get(aiohttp_server, archive_server, part, reporter)
    assert reporter.bytes == []


async def test_room_is_looked_for_while_it_comes(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress
) -> None:
    limits = Limits(MOST, space_check_bytes=300_000)
    asked: list[int] = []

    def filling(to_come: int) -> None:
        asked.append(to_come)
        if len(asked) == 3:
            raise NotEnoughSpace("full")

    server = await aiohttp_server(archive_server.app())
    with pytest.raises(NotEnoughSpace, match="full"):
        await fetch(str(server.make_url("/x.zip")), part, reporter, require_space=filling, limits=limits)
    assert 0 < part.size < len(DATA)
    assert asked[0] == len(DATA) > asked[1] > asked[2] > 0


async def test_a_file_that_is_another_each_time_is_given_up(
    aiohttp_server: Serve, archive_server: ArchiveServer, part: PartFile, reporter: RecordedProgress
) -> None:
    def change(_: str) -> None:
        archive_server.files["x.zip"] = DATA + bytes(len(archive_server.requests))
        archive_server.cuts = [300_000 + 1000 * len(archive_server.requests)]

    archive_server.on_request = change
    with pytest.raises(SourceFailed, match="has not sent the whole file in 8 attempts"):
        await get(aiohttp_server, archive_server, part, reporter, limits=Limits(MOST, attempts=8))
    assert len(archive_server.requests) == 8


async def test_a_text_without_end_is_left(aiohttp_server: Serve, archive_server: ArchiveServer) -> None:
    archive_server.endless = {"list.json"}
    server = await aiohttp_server(archive_server.app())
    with pytest.raises(SourceFailed, match="sends too much"):
        await fetch_text(str(server.make_url("/list.json")))
    assert archive_server.sent < FLOOD_BYTES


@pytest.mark.parametrize("target", ["/round.zip", "file:///etc/passwd", "ftp://127.0.0.1/x.zip"])
async def test_redirects_that_lead_nowhere_are_said(
    aiohttp_server: Serve, part: PartFile, reporter: RecordedProgress, target: str
) -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": target})

    app = web.Application()
    app.router.add_get("/round.zip", elsewhere)
    server = await aiohttp_server(app)
    with pytest.raises(SourceFailed, match="leads nowhere"):
        await fetch(
            str(server.make_url("/round.zip")), part, reporter, require_space=lambda _: None, limits=Limits(MOST)
        )


async def test_https_is_not_left_for_http(
    aiohttp_server: Serve, part: PartFile, reporter: RecordedProgress, archive_server: ArchiveServer
) -> None:
    plain = str((await aiohttp_server(archive_server.app())).make_url("/x.zip"))

    async def down(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": plain})

    authority, app = trustme.CA(), web.Application()
    app.router.add_get("/x.zip", down)
    here, there = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(there)
    authority.configure_trust(here)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=there)
    try:
        with pytest.raises(SourceFailed, match="leads away from https"):
            await fetch(
                str(server.make_url("/x.zip")),
                part,
                reporter,
                require_space=lambda _: None,
                limits=Limits(MOST),
                open_session=lambda: ClientSession(connector=TCPConnector(ssl=here)),
            )
    finally:
        await server.close()
    assert part.size == 0
