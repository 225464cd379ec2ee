"""`transcriber key`: what it prints opens a server, and hides the key."""

import io

import pytest

from transcriber.cli.main import main
from transcriber.errors import ConfigError
from transcriber.settings import api_keys
from transcriber.settings.api_keys import Role
from transcriber.settings.definition import load_settings


@pytest.mark.parametrize(
    ("argv", "roles"),
    [([], Role.ADMIN), (["admin"], Role.ADMIN), (["read"], Role.READ), (["read+delete"], Role.READ | Role.DELETE)],
)
def test_the_entry_admits_the_key(argv: list[str], roles: Role, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", *argv]) == 0
    secret, entry = capsys.readouterr().out.splitlines()
    assert secret not in entry
    settings = load_settings(environ={"TRANSCRIBER_API_KEYS": entry}).settings
    shown = api_keys.find_key(secret, map(api_keys.parse, settings.api_keys))
    assert shown is not None
    assert shown.roles == roles


def test_a_key_of_ones_own_is_hashed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("k" * 40 + "\n"))
    assert main(["key", "read", "--hash"]) == 0
    [entry] = capsys.readouterr().out.splitlines()
    assert api_keys.find_key("k" * 40, [api_keys.parse(entry)]) is not None


@pytest.mark.parametrize(("argv", "stdin"), [(["write"], ""), (["read+"], ""), (["--hash"], "short\n")])
def test_wrong_usage_is_status_2(argv: list[str], stdin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    with pytest.raises(SystemExit) as caught:
        main(["key", *argv])
    assert caught.value.code == 2


@pytest.mark.parametrize("entry", ["sha256:1234", "raed=sha256:" + "0" * 64, "good,read="])
def test_a_wrong_entry_is_named_by_its_number_only(entry: str) -> None:
    with pytest.raises(ConfigError, match="api_keys") as caught:
        load_settings(environ={"TRANSCRIBER_API_KEYS": entry})
    assert "1234" not in str(caught.value)
    assert "good" not in str(caught.value)
