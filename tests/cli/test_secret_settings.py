"""Secrets come from the environment, the settings file or files of their own; flags and URLs tell none."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from transcriber.cli.main import main
from transcriber.errors import ConfigError
from transcriber.settings.definition import Settings, load_settings

Told = Callable[..., tuple[int, str]]
SECRET = "verysecret3Xq" * 3
WHSEC = "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
VALUES = {
    "twilio_auth_token": SECRET,
    "api_keys": SECRET,
    "redis_url": f"redis://:{SECRET}@127.0.0.1:6379/0",
    "model_mirror": f"https://ada:{SECRET}@models.example.net",
    "webhook_secret": WHSEC,
}


def secret_file(path: Path, text: str = SECRET, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Told:
    """A command's exit status and all that it says; usage errors are not expected."""

    def run(*argv: str, **environment: str) -> tuple[int, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        status = main(argv)
        out, errors = capsys.readouterr()
        return status, out + errors

    return run


def test_all_secrets_are_looked_at_here() -> None:
    assert set(VALUES) == {item.name for item in dataclasses.fields(Settings) if item.metadata["secret"]}


@pytest.mark.parametrize("program", ["serve", "check"])
@pytest.mark.parametrize("name", VALUES)
def test_a_secret_is_no_flag(told: Told, program: str, name: str) -> None:
    flag = "--" + name.replace("_", "-")
    status, said = told(program, flag, VALUES[name])
    assert status == 2
    assert said.count("\n") == 1
    assert f"{flag}-file FILE" in said
    assert f"TRANSCRIBER_{name.upper()}" in said
    assert SECRET not in said
    assert WHSEC not in said


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--model-list-url", f"https://ada:{SECRET}@models.example.net/list.json"),
        ("--twilio-api-url", f"https://api.example.net/?token={SECRET}"),
        ("--redis-url", f"redis://127.0.0.1:6379/0?password={SECRET}"),
        ("--redis-url", f"redis+sentinel://ada:{SECRET}@a:1,b:2/main"),
        ("--twiml-then", f"redirect:https://ada:{SECRET}@example.net/next"),
    ],
)
def test_an_address_with_a_password_is_no_flag_either(told: Told, flag: str, value: str) -> None:
    status, said = told("check", flag, value)
    assert status == 2
    assert f"{flag}-file FILE" in said
    assert SECRET not in said


def test_an_address_without_one_is(told: Told, tmp_path: Path) -> None:
    status, said = told("check", "--data-dir", str(tmp_path), "--redis-url", "redis://127.0.0.1:1/0")
    assert status == 1
    assert "WRONG  redis" in said


@pytest.mark.parametrize("where", ["environment", "file", "flag"])
@pytest.mark.parametrize("name", VALUES)
def test_a_secret_may_lie_in_a_file(tmp_path: Path, name: str, where: str) -> None:
    path = secret_file(tmp_path / "secret", VALUES[name] + "\n")
    settings = tmp_path / "settings.toml"
    settings.write_text(f'{name}_file = "{path}"\n')
    loaded = {
        "environment": lambda: load_settings(environ={f"TRANSCRIBER_{name.upper()}_FILE": path}),
        "file": lambda: load_settings(environ={}, config=settings),
        "flag": lambda: load_settings(environ={}, flags={f"{name}_file": path}),
    }[where]()
    [plain] = [load_settings(environ={f"TRANSCRIBER_{name.upper()}": VALUES[name]}).settings]
    assert getattr(loaded.settings, name) == getattr(plain, name)
    assert loaded.sources[name] != "default"
    assert SECRET not in str(loaded.rows())


def test_the_later_of_both_wins_and_both_at_once_are_refused(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "secret", "from-the-file")
    settings = tmp_path / "settings.toml"
    settings.write_text('api_keys = "from-the-settings"\n')
    loaded = load_settings(config=settings, environ={"TRANSCRIBER_API_KEYS_FILE": path})
    assert loaded.settings.api_keys == ("from-the-file",)
    assert loaded.sources["api_keys"] == "TRANSCRIBER_API_KEYS_FILE"
    # What composes write for a variable that nobody has set.
    assert load_settings(environ={"TRANSCRIBER_API_KEYS_FILE": ""}).settings.api_keys == ()
    both = {"TRANSCRIBER_API_KEYS": "k" * 30, "TRANSCRIBER_API_KEYS_FILE": path}
    with pytest.raises(ConfigError, match=r"TRANSCRIBER_API_KEYS and TRANSCRIBER_API_KEYS_FILE") as caught:
        load_settings(environ=both)
    assert "k" * 30 not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        (SECRET, 0o604, "every user of this machine may read"),
        (SECRET, 0o620, "others may write"),
        ("", 0o600, "is empty"),
        ("\n", 0o600, "is empty"),
        (SECRET * 10_000, 0o600, "more than a secret"),
        (None, 0, "cannot be read: No such file"),
    ],
)
def test_a_file_of_no_use_is_refused(told: Told, tmp_path: Path, text: str | None, mode: int, says: str) -> None:
    path = tmp_path / "token"
    if text is not None:
        secret_file(path, text, mode)
    settings = {"TRANSCRIBER_TWILIO_AUTH_TOKEN_FILE": str(path), "TRANSCRIBER_PUBLIC_URL": "https://x.example"}
    status, said = told("serve", "--data-dir", str(tmp_path / "data"), **settings)
    assert status == 2
    assert says in said
    assert "TRANSCRIBER_TWILIO_AUTH_TOKEN_FILE" in said
    assert said.count("\n") == 1
    assert SECRET not in said


def test_a_secret_may_lie_in_a_volume_of_kubernetes(tmp_path: Path) -> None:
    volume = tmp_path / "..2026_11_30_20_00_00.1"
    volume.mkdir()
    secret_file(volume / "keys", SECRET, 0o644)
    (tmp_path / "..data").symlink_to(volume.name)
    (tmp_path / "keys").symlink_to("..data/keys")
    loaded = load_settings(environ={"TRANSCRIBER_API_KEYS_FILE": str(tmp_path / "keys")})
    assert loaded.settings.api_keys == (SECRET,)


def test_only_secrets_lie_in_files() -> None:
    with pytest.raises(ConfigError, match="unknown TRANSCRIBER_PORT_FILE"):
        load_settings(environ={"TRANSCRIBER_PORT_FILE": os.devnull})


def test_no_url_that_is_shown_tells_a_password(told: Told, tmp_path: Path) -> None:
    settings = {
        "TRANSCRIBER_DATA_DIR": str(tmp_path),
        "TRANSCRIBER_MODEL_LIST_URL": f"http://ada:{SECRET}@127.0.0.1:1/list.json",
        "TRANSCRIBER_MODEL_MIRROR": f"http://ada:{SECRET}@127.0.0.1:1/mirror",
        "TRANSCRIBER_TWILIO_API_URL": f"https://api.example.net/?api_key={SECRET}",
        "TRANSCRIBER_TWIML_THEN": f"redirect:https://ada:{SECRET}@example.net/next",
    }
    status, said = told("check", **settings)
    assert status == 0
    assert "redirect:https://example.net/next" in said
    for argv in (
        ("models", "list", "en"),
        ("models", "pull", "en"),
        ("calls", "--url", f"http://ada:{SECRET}@127.0.0.1:1"),
        ("calls", "--url", f"gopher://ada:{SECRET}@127.0.0.1:1"),
        ("calls", "--url", f"http://ada:{SECRET}@[/"),
        ("replay", "--url", f"http://ada:{SECRET}@127.0.0.1:1"),
    ):
        _, more = told(*argv)
        assert more.strip()
        said += more
    assert SECRET not in said
    left = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert left == []


@pytest.mark.parametrize("argv", [("calls",), ("show", "CA1"), ("rm", "CA1"), ("attach", "CA1"), ("detach", "CA1")])
def test_a_key_is_no_flag_but_of_replay(told: Told, argv: tuple[str, ...]) -> None:
    status, said = told(*argv, "--url", "http://127.0.0.1:1", "--api-key", SECRET)
    assert status == 2
    assert "--api-key-file" in said
    assert SECRET not in said


def test_replay_takes_a_key_and_says_who_sees_it(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = told("replay", "--url", "http://127.0.0.1:1", "--api-key", SECRET)
    assert (status, SECRET in said) == (1, False)
    with pytest.raises(SystemExit):
        told("replay", "--help")
    assert "process list" in " ".join(capsys.readouterr().out.split())


def test_a_key_may_come_out_of_a_file(told: Told, tmp_path: Path) -> None:
    key = secret_file(tmp_path / "key", SECRET, 0o644)
    status, said = told("calls", "--url", "http://127.0.0.1:1", "--api-key-file", key)
    assert (status, "every user of this machine may read" in said) == (2, True)
