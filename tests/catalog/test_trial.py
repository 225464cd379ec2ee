"""Models that look whole and end the process that loads them: tried elsewhere first, refused in words, never twice."""

import asyncio
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.phone import Phone
from tests.process import command, process, wait_for_line, wait_until_ready
from tests.server.test_grammar import heard
from transcriber import catalog
from transcriber.catalog import trial
from transcriber.catalog.trial import TrialLimits, Trials
from transcriber.errors import ModelError
from transcriber.store.redis.private_server import socket_url
from transcriber.store.redis_store import open_store

ALL = ("am/final.mdl", "graph/HCLr.fst", "graph/Gr.fst", "static/graph/HCLG.fst")
LISTS = ("graph/words.txt", "graph/disambig_tid.int", "graph/phones/word_boundary.int", "conf/mfcc.conf")
ONE_LINE = ("Traceback", "internal error", "Error:")


def claim_too_many_components(model: Path) -> None:
    """What an acoustic model says of itself, overwritten: Vosk asserts while it loads."""
    data = bytearray((model / "am" / "final.mdl").read_bytes())
    at = data.index(b"<NumComponents> ") + len(b"<NumComponents> ") + 1
    data[at : at + 4] = (0x00FFFFFF).to_bytes(4, "little")
    (model / "am" / "final.mdl").write_bytes(data)


def overwrite_some_bytes(model: Path, part: str, chance: random.Random) -> None:
    """Some bytes overwritten somewhere, or near the beginning, where a file says what is in it."""
    data = bytearray((model / part).read_bytes())
    at = chance.randrange(chance.choice((len(data), min(len(data), 3000))))
    junk = chance.choice((b"\xff" * 8, bytes(64), chance.randbytes(16), chance.randbytes(1)))
    data[at : at + len(junk)] = junk[: len(data) - at]
    (model / part).write_bytes(data)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the demo model to break, with its dynamic graph alone."""
    target = tmp_path / "mine"
    shutil.copytree(
        catalog.find("en-demo", tmp_path).path, target, symlinks=True, ignore=shutil.ignore_patterns("static")
    )
    return target


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """The same with its static graph."""
    return Path(shutil.copytree(catalog.find("en-demo", tmp_path).path, tmp_path / "whole", symlinks=True))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models"


def test_the_bundled_model_counts_as_tried(tmp_path: Path) -> None:
    """When the model or Vosk's version change, try it and write `SHIPPED` anew."""
    path = catalog.find("en-demo", tmp_path).path
    assert trial.content_checksum(path) == trial.BUNDLED[1]
    assert trial.is_bundled(path)


async def test_a_model_is_tried_once_and_again_when_it_changed(copied: Path, home: Path) -> None:
    lines: list[str] = []
    folder = catalog.describe(copied)
    await Trials(home, report=lines.append).ensure_tried(folder)
    assert len(lines) == 1
    await Trials(home, report=lines.append).ensure_tried(folder)
    assert len(lines) == 1
    conf = copied / "conf" / "model.conf"
    conf.write_text(conf.read_text() + "\n")
    await Trials(home, report=lines.append).ensure_tried(folder)
    assert len(lines) == 2
    assert len(list((home / trial.NOTES_FOLDER).iterdir())) == 2


async def test_what_failed_is_remembered_until_it_changes(copied: Path, home: Path) -> None:
    claim_too_many_components(copied)
    lines: list[str] = []
    trials, folder = Trials(home, report=lines.append), catalog.describe(copied)
    for _ in range(3):
        with pytest.raises(ModelError, match=r"Vosk crashes on mine \(SIGABRT\)"):
            await trials.ensure_tried(folder)
    assert len(lines) == 1
    shutil.copy(catalog.find("en-demo", home).path / "am" / "final.mdl", copied / "am")
    await trials.ensure_tried(folder)
    assert len(lines) == 2


async def test_what_takes_too_much_is_refused(copied: Path, home: Path) -> None:
    folder = catalog.describe(copied)
    with pytest.raises(ModelError, match="wants more than 40 MB of memory"):
        await Trials(home, limits=TrialLimits(min_memory_bytes=40 << 20, memory_per_byte=0)).ensure_tried(folder)
    with pytest.raises(ModelError, match="does not load it and hear"):
        await Trials(home, limits=TrialLimits(min_timeout_s=0)).ensure_tried(folder)
    assert not (home / trial.NOTES_FOLDER).exists()


async def test_where_nothing_can_be_noted_it_is_said_and_the_model_used(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    lines: list[str] = []
    await Trials(tmp_path / "file", report=lines.append).ensure_tried(catalog.describe(copied))
    assert "cannot note that" in lines[-1]


@pytest.mark.parametrize("flags", [[], ["--force"]])
async def test_import_refuses_what_crashes(copied: Path, tmp_path: Path, flags: list[str]) -> None:
    claim_too_many_components(copied)
    status, out = await command("models", "import", str(copied), *flags, "--data-dir", str(tmp_path / "data"))
    assert (status, out) == (1, "transcriber: Vosk crashes on mine (SIGABRT)\n")
    assert [path.name for path in (tmp_path / "data" / "models").iterdir()] == [".incoming"]


async def test_a_server_refuses_what_crashes(copied: Path, tmp_path: Path) -> None:
    claim_too_many_components(copied)
    status, out = await command("serve", "--port", "0", "--model", str(copied), "--data-dir", str(tmp_path / "data"))
    assert status == 1
    assert out.splitlines()[-1] == "transcriber: Vosk crashes on mine (SIGABRT)"
    status, out = await command("check", "--model", str(copied), "--data-dir", str(tmp_path / "data"))
    assert status == 1
    assert "WRONG  model: Vosk crashes on mine (SIGABRT)" in out.splitlines()


async def test_neither_a_call_nor_a_signal_brings_a_server_down_with_a_model(copied: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with process("--data-dir", str(data), "--workers", "1") as child:
        url = await wait_until_ready(child)
        shutil.copytree(copied, data / "models" / "mine")
        claim_too_many_components(data / "models" / "mine")
        child.send_signal(signal.SIGHUP)
        assert b"Vosk crashes on mine (SIGABRT)" in await wait_for_line(child, b"the model stays as it is")
        async with await open_store(socket_url(data / "redis"), prefix="transcripts", ttl_s=0) as store:
            events = await heard(Phone(url), store, {"model": "mine"})
        [error] = [event for event in events if event["type"] == "stream.error"]
        assert error["code"] == "model_not_loaded"
        assert "Vosk crashes on mine (SIGABRT); 'en-demo' is used" in error["message"]
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 30) == 0


async def test_an_impatient_stop_ends_a_trial(copied: Path, tmp_path: Path) -> None:
    async with process("--data-dir", str(tmp_path / "data"), "--model", str(copied)) as child:
        await wait_for_line(child, b"trying mine")
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 30) == 0


def seeds(parts: tuple[str, ...], count: int) -> Iterator[tuple[str, int]]:
    return ((part, seed) for part in parts for seed in range(count))


@pytest.mark.hostile
@pytest.mark.parametrize(("part", "seed"), [*seeds(ALL, 2), *seeds(LISTS, 1)])
async def test_overwritten_bytes_are_reported_or_the_model_works(
    compiled: Path, tmp_path: Path, part: str, seed: int
) -> None:
    overwrite_some_bytes(compiled, part, random.Random(f"{part} {seed}"))
    data = str(tmp_path / "data")
    status, out = await command("models", "import", str(compiled), "--data-dir", data, "--name", "mine")
    assert not any(sign in out for sign in ONE_LINE), out
    if status == 1:
        assert len(out.splitlines()) == 1
        return
    assert status == 0
    async with process("--data-dir", data, "--model", "mine", "--workers", "1") as child:
        url = await wait_until_ready(child)
        async with Phone(url).call("08_short_wrong_department") as call:
            await call.play(6000)
            assert await call.hang_up() == 1000
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 30) == 0
