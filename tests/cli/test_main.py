"""The command line as a whole: help, versions, exit statuses, errors in one line."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from transcriber import __version__
from transcriber.audio import sample_calls
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.main import COMMANDS, main
from transcriber.errors import ModelError

SID = "CA" + "1" * 32


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TRANSCRIBER_")]:
        monkeypatch.delenv(name)


def status_of(*argv: str) -> int:
    """The exit status, also of what argparse decides."""
    try:
        return main(argv)
    except SystemExit as end:
        return int(end.code or 0)


def test_every_command_is_there() -> None:
    assert list(COMMANDS) == [
        "serve",
        "replay",
        "demo",
        "tail",
        "calls",
        "show",
        "rm",
        "models",
        "attach",
        "detach",
        "key",
        "webhook",
        "check",
        "health",
        "reindex",
        "bench",
        "size",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples_that_parse(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(command, "--help") == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    assert f"transcriber {command}" in out.partition("examples:")[2]


@pytest.mark.parametrize("argv", [["--version"], *([name, "--version"] for name in COMMANDS)])
def test_version(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*argv) == 0
    assert capsys.readouterr().out == f"transcriber {__version__}\n"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["sing"],
        ["show"],
        ["rm"],
        ["show", SID, "--format", "doc"],
        ["calls", "--limit", "0"],
        ["calls", "--status", "odd"],
        ["replay", "a.wav", "b.wav", "c.wav"],
        ["replay", "--speed", "-1"],
        ["replay", "--speed", "nan"],
        ["replay", "--calls", "0"],
        ["replay", "--param", "tenant"],
        ["demo", "--call", "unknown"],
        ["calls", "--url", "localhost:8080"],
        ["calls", "--url", "http://"],
        ["calls", "--url", "http://[::1"],
        ["calls", "--url", "http://h:port"],
        ["calls", "--config", "/nowhere/settings.toml"],
    ],
)
def test_wrong_usage_is_status_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*argv) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_unknown_settings_are_status_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TRANSCRIBER_PROT", "80")
    assert status_of("calls") == 2
    err = capsys.readouterr().err
    assert err.startswith("transcriber: unknown TRANSCRIBER_PROT")
    assert err.count("\n") == 1


def test_a_free_port_cannot_be_guessed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TRANSCRIBER_PORT", "0")
    assert status_of("calls") == 2
    assert "--url" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["calls"], ["show", SID], ["rm", SID], ["replay"]])
def test_no_server_is_one_line(
    argv: list[str], unused_tcp_port_factory: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*argv, "--url", f"http://127.0.0.1:{unused_tcp_port_factory()}") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("transcriber: no server answers at ")
    assert "transcriber serve" in err
    assert err.count("\n") == 1


def test_files_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("replay", str(tmp_path / "nowhere.wav")) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert status_of("replay", "nowhere") == 1
    assert sample_calls.DEFAULT in capsys.readouterr().err


def test_the_sample_calls_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("replay", "--list") == 0
    assert capsys.readouterr().out.splitlines() == sample_calls.names()


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (ModelError("no \x1b[2Jmodel\nhere"), 1, "transcriber: no  [2Jmodel here\n"),
        (KeyError("lost"), 1, "transcriber: internal error, please report it: KeyError: 'lost'\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_every_error_is_one_line(
    error: BaseException, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing:
        __name__ = "fail"

        def add(self, subparsers: Subparsers) -> None:
            add_command(subparsers, "fail", run=fail, summary="fail", examples="transcriber fail")

    def fail(_: object) -> int:
        raise error

    assert main(["fail"], commands=[Failing()]) == status
    assert capsys.readouterr().err == says


@pytest.mark.parametrize("argv", [["replay", "--list"], ["--help"]])
def test_a_reader_that_went_away_is_no_drama(argv: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "transcriber", *argv]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=30, env=buffered
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_nobody_who_reads(closed: str, tmp_path: Path) -> None:
    for arguments, status in (("models list", 0), ("replay --list", 0), ("calls --url http://127.0.0.1:9", 1)):
        shell = f"{sys.executable} -m transcriber {arguments} {closed}"
        environment = os.environ | {"TRANSCRIBER_DATA_DIR": str(tmp_path)}
        done = subprocess.run(shell, shell=True, env=environment, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, b"internal error" in done.stderr) == (status, False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", ["models list", "replay --list", "key", "size --calls 100"])
def test_a_full_disk_is_no_error_of_the_program(arguments: str) -> None:
    done = subprocess.run(
        f"{sys.executable} -m transcriber {arguments} >/dev/full", shell=True, stderr=subprocess.PIPE, check=False
    )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1] == "transcriber: cannot write: No space left on device"
