"""The systemd units: no key that systemd does not know, no more rights than needed, no setting that is none."""

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import ROOT
from transcriber.cli.main import build_parser
from transcriber.settings.definition import Settings, load_settings

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here: make deploy"),
]

SYSTEMD = ROOT / "deploy/systemd"
SERVICES = sorted(SYSTEMD.glob("*.service"))
PROGRAM = "/opt/transcriber/.venv/bin/transcriber"
MOST_EXPOSED = 2.0


def lines(unit: Path) -> Iterator[tuple[str, str]]:
    """Keys and values; lines that end with a backslash go on."""
    for line in unit.read_text().replace("\\\n", " ").splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            yield key, value


def of(unit: Path, key: str) -> list[str]:
    return [value for name, value in lines(unit) if name == key]


def hardening(unit: Path) -> list[tuple[str, str]]:
    """From `NoNewPrivileges` on."""
    found = list(lines(unit))
    first = found.index(("NoNewPrivileges", "yes"))
    return [(key, value) for key, value in found[first:] if key != "WantedBy"]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units where nothing is installed: with a program that is there."""
    for unit in (*SERVICES, SYSTEMD / "transcriber.target"):
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAM, "/bin/true"))
    return tmp_path


def analyze(*arguments: str) -> str:
    """All that it writes."""
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=True, timeout=50
    )  # it exits with 0 when it does not know a key
    return done.stdout + done.stderr


@pytest.mark.parametrize("drop_in", [None, "shared-port.conf", "private-redis.conf"])
def test_systemd_knows_every_key(installed: Path, drop_in: str | None) -> None:
    if drop_in is not None:
        (installed / "transcriber@.service.d").mkdir()
        shutil.copy(SYSTEMD / drop_in, installed / "transcriber@.service.d")
    assert analyze("verify", *map(str, [*installed.glob("*.service"), installed / "transcriber.target"])) == ""


def test_a_key_that_systemd_does_not_know_is_found(installed: Path) -> None:
    unit = installed / "transcriber-check.service"
    unit.write_text(unit.read_text().replace("ProtectHome", "ProtectHouse"))
    assert "'ProtectHouse'" in analyze("verify", str(unit))


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_unit_exposes_little(installed: Path, unit: Path) -> None:
    said = analyze("security", "--offline=true", str(installed / unit.name))
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert level is not None
    assert float(level[1]) < MOST_EXPOSED, said


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_all_units_are_hardened_alike(unit: Path) -> None:
    assert hardening(unit) == hardening(SYSTEMD / "transcriber@.service")


@pytest.mark.parametrize("file", sorted(SYSTEMD.iterdir()), ids=lambda file: file.name)
def test_every_setting_that_a_file_names_is_one(file: Path) -> None:
    settings = {item.name.upper(): item for item in dataclasses.fields(Settings)}
    for name in re.findall(r"TRANSCRIBER_([A-Z_]+)=", file.read_text()):
        item = settings[name.removesuffix("_FILE")]
        assert not name.endswith("_FILE") or item.metadata["secret"]


@pytest.mark.parametrize("unit", [*SERVICES, SYSTEMD / "private-redis.conf"], ids=lambda unit: unit.name)
def test_a_secret_is_a_credential_and_every_credential_is_used(unit: Path) -> None:
    given = {value.partition(":")[0] for value in of(unit, "LoadCredential") if value}
    variables = dict(value.split("=", 1) for value in of(unit, "Environment"))
    used = {value.removeprefix("%d/") for value in variables.values() if value.startswith("%d/")}
    assert used <= given
    assert given == used or unit.name == "private-redis.conf"
    secrets = {f"TRANSCRIBER_{item.name.upper()}" for item in dataclasses.fields(Settings) if item.metadata["secret"]}
    assert not secrets & variables.keys()


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_what_a_unit_runs_is_a_command(unit: Path) -> None:
    (command,) = of(unit, "ExecStart")
    program, *arguments = command.split()
    assert program == PROGRAM
    build_parser().parse_args([argument for argument in arguments if argument != "$WEBHOOK_OPTIONS"])


def test_systemd_waits_longer_than_a_server_drains() -> None:
    settings = load_settings(config=SYSTEMD / "transcriber.toml", environ={}).settings
    (stop_s,) = of(SYSTEMD / "transcriber@.service", "TimeoutStopSec")
    assert int(stop_s) > settings.drain_s + 30


def test_a_release_is_installed_where_the_units_look() -> None:
    steps = (ROOT / "deploy/RELEASE.md").read_text().partition("## Install one")[2].partition("```\n\n")[0]
    assert f"{PROGRAM} check" in steps
    assert set(re.findall(r"/opt/\S*/bin/", steps)) == {PROGRAM.removesuffix("transcriber")}
