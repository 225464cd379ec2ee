"""Settings: read once, validated once, unknown names refused, the source of each remembered.

Later wins: defaults, the TOML file, the environment (`TRANSCRIBER_<NAME>`), command-line flags (see `sources`).
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transcriber.errors import ConfigError
from transcriber.observability.url_credentials import without_credentials
from transcriber.settings import service_links, sources, values
from transcriber.settings.endpoint_limits import ENDPOINT_MS, MAX_ENDPOINT_MS, MIN_ENDPOINT_MS
from transcriber.settings.host_address import is_loopback, url_of
from transcriber.settings.values import SHARED_CHANNELS, redis_database

THIRTY_DAYS_S = 30 * 24 * 3600
MODEL_LIST_URL = "https://alphacephei.com/vosk/models/model-list.json"


def _data_home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "transcriber"


def _setting(parse: Callable[[str], Any], default: Any, doc: str, *, secret: bool = False, url: bool = False) -> Any:
    """`secret`: never shown; `url`: an address, which may hold a user and a password, shown without."""
    metadata = {"parse": parse, "doc": doc, "secret": secret, "url": url}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting; the name in capitals behind `TRANSCRIBER_` is its environment variable."""

    host: str = _setting(values.address, "127.0.0.1", "address to listen on")
    port: int = _setting(values.integer(0, 65535), 8080, "port to listen on; 0 picks a free one")
    tls_cert: str = _setting(
        values.file_path, "", "PEM file with certificate and chain, for https and wss; read anew when it changes"
    )
    tls_key: str = _setting(values.file_path, "", "PEM file with the private key; empty: it is in the file of TLS_CERT")
    reuse_port: bool = _setting(
        values.flag, False, "share HOST:PORT with other servers on this machine that set it too (SO_REUSEPORT)"
    )
    public_url: str = _setting(
        values.public_url,
        "",
        "address that Twilio dials and signatures are checked with: https or wss, host, optional port and path prefix",
    )
    metrics_address: str = _setting(
        values.listen_address, "", "HOST:PORT of a listener for /metrics alone; PORT then serves none"
    )
    twilio_auth_token: tuple[str, ...] = _setting(
        values.auth_tokens, (), "Twilio auth tokens that sign requests, comma-separated", secret=True
    )
    twilio_account_sid: tuple[str, ...] = _setting(
        values.account_sids, (), "AccountSids whose streams are accepted, comma-separated; attach uses the first"
    )
    twilio_api_url: str = _setting(
        values.http_url,
        "https://api.twilio.com",
        "address of Twilio's REST API, for attach and detach; set it for another edge or region",
        url=True,
    )
    api_keys: tuple[str, ...] = _setting(
        values.key_entries, (), "keys of the HTTP API, comma-separated, with roles and as hashes if wanted", secret=True
    )
    rate_per_key: int = _setting(values.integer(0, 10**6), 1200, "requests a minute of each API key; 0 = no limit")
    rate_per_address: int = _setting(
        values.integer(0, 10**6), 300, "requests a minute of each address without key or signature; 0 = no limit"
    )
    sse_per_client: int = _setting(
        values.integer(0, 10**6), 200, "event streams at once of each API key, or address without a key; 0 = no limit"
    )
    trusted_proxies: tuple[str, ...] = _setting(
        values.networks, (), "proxies (addresses, networks) whose X-Forwarded-For the limits per address believe"
    )
    cors_origins: tuple[str, ...] = _setting(
        values.origins,
        (),
        "origins (https://host[:port]), comma-separated, whose web pages may use the API with a key; * = any",
    )
    require_ticket: bool = _setting(values.flag, False, "refuse streams without a ticket from /v1/twiml")
    insecure: bool = _setting(
        values.flag, False, "allow listening beyond loopback without token or key, and the API without a key"
    )
    twiml_then: str = _setting(
        values.continuation,
        "pause:3600",
        "what follows <Start> in the TwiML: dial:NUMBER, redirect:URL or pause:SECONDS",
        url=True,
    )
    redis_url: str = _setting(
        values.text,
        "",
        "URL of Redis: redis://, rediss://, unix://, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB or "
        "redis+cluster://HOST:PORT,HOST:PORT (rediss+…: with TLS); empty: a private Redis of the server",
        secret=True,
        url=True,
    )
    redis_prefix: str = _setting(values.text, "transcripts", "first part of every key and channel")
    pubsub: str = _setting(
        values.choice("global", "sharded"),
        "global",
        "global: PUBLISH; sharded: SPUBLISH to the call's node, for a large Redis Cluster (Redis 7.0)",
    )
    history_ttl_s: int = _setting(
        values.integer(0, 10**9), THIRTY_DAYS_S, "seconds that a call is kept after its last event; 0 = for ever"
    )
    model: str = _setting(values.text, "", "model name or path; empty: the best one installed")
    model_list_url: str = _setting(
        values.http_url, MODEL_LIST_URL, "official list of Vosk models; empty: never fetched", url=True
    )
    model_mirror: str = _setting(
        values.http_url, "", "URL of a folder with model archives (NAME.zip), tried first", secret=True, url=True
    )
    data_dir: Path = _setting(
        values.directory, _data_home, "folder of the private Redis, the outbox and the server's own key"
    )
    models_dir: str = _setting(
        values.file_path, "", "folder of pulled models, which servers may share, read-only too; empty: DATA_DIR/models"
    )
    journal: bool = _setting(
        values.flag, False, "keep live audio in the outbox (8 KB/s a track) until its stream ends, against a crash"
    )
    models_memory_mb: int = _setting(
        values.integer(0, 10_000_000),
        0,
        "MB of memory for models that calls ask for, besides the default; 0 = half of what the server may use",
    )
    strict_model: bool = _setting(
        values.flag, False, "refuse streams that ask for a model or language that is not installed"
    )
    speech_gate: bool = _setting(
        values.flag, True, "voice activity detection: 1 = only speech is decoded; 0 = everything, silence too"
    )
    endpoint_ms: int = _setting(
        values.integer(MIN_ENDPOINT_MS, MAX_ENDPOINT_MS),
        ENDPOINT_MS,
        "milliseconds of silence that end an utterance",
    )
    workers: int = _setting(
        values.integer(0, 1024), 0, "recognition processes, which share one loaded model; 0 = one per core it may use"
    )
    max_tracks: int = _setting(
        values.integer(0, 100_000), 0, "live tracks admitted; 0 = from the capacity measured at start and by calls"
    )
    no_media: bool = _setting(
        values.flag, False, "answer the HTTP API and take no streams, beside servers on the same Redis that do"
    )
    inactivity_s: int = _setting(values.integer(1, 86_400), 120, "seconds without a message that end a stream")
    drain_s: int = _setting(values.integer(0, 86_400), 30, "seconds that live calls may go on after SIGTERM")
    webhook_secret: tuple[str, ...] = _setting(
        values.signing_secrets,
        (),
        "what `transcriber webhook` signs with: whsec_… (Standard Webhooks); several, comma-separated, while you "
        "exchange them",
        secret=True,
    )
    log_level: str = _setting(
        values.choice("debug", "info", "warning", "error"), "info", "what is logged: debug, info, warning or error"
    )
    log_format: str = _setting(values.choice("text", "json"), "text", "form of log lines: text or json")

    def __post_init__(self) -> None:
        if not self.redis_prefix or any(c in self.redis_prefix for c in "{}*?[]: \t\n"):
            raise ConfigError("redis_prefix must be a word without spaces, colons, braces or wildcards")

    @property
    def models_home(self) -> Path:
        """Where pulled models live."""
        return self.model_homes[0]

    @property
    def model_homes(self) -> tuple[Path, ...]:
        """The same, and where else it is noted which models were tried: beside the server's own data."""
        own = self.data_dir / "models"
        return (Path(self.models_dir), own) if self.models_dir else (own,)

    @property
    def exposed(self) -> bool:
        """Whether clients beyond this machine are expected, perhaps through a proxy that looks like a local one."""
        given = (self.public_url, self.twilio_auth_token, self.api_keys, self.trusted_proxies)
        return any(given) or not is_loopback(self.host)

    @property
    def requires_api_key(self) -> bool:
        """Whether the HTTP API answers only to API keys: those of the settings, else the server's own."""
        return bool(self.api_keys) or (self.exposed and not self.insecure)

    @property
    def needs_local_key(self) -> bool:
        """Whether a server has to make the key that its API wants."""
        return self.requires_api_key and not self.api_keys

    @property
    def local_url(self) -> str:
        """The HTTP address a command on this machine reaches the server at."""
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return url_of("https" if self.tls_cert else "http", host, self.port)


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, where each came from (`default`, `flag`, file, variable), and variables that were `left_out`."""

    settings: Settings
    sources: Mapping[str, str]
    left_out: tuple[str, ...] = ()

    def rows(self) -> list[tuple[str, str, str]]:
        """(name, value, source) of every setting; secrets are named but never shown, URLs without credentials."""
        rows = []
        for item in dataclasses.fields(Settings):
            value = getattr(self.settings, item.name)
            if item.metadata["secret"]:
                text = "(set)" if value else ""
            else:
                text = ",".join(value) if isinstance(value, tuple) else str(value)
                text = without_credentials(text) if item.metadata["url"] else text
            rows.append((item.name, text, self.sources[item.name]))
        return rows


def load_settings(
    *, config: Path | None = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None
) -> LoadedSettings:
    """Merge all sources. Raises ConfigError that names the setting, its source and what it must be."""
    known = {item.name: item for item in dataclasses.fields(Settings)}
    environ = os.environ if environ is None else environ
    left_out = service_links.among(environ, sources.PREFIX)
    environ = {name: text for name, text in environ.items() if name not in left_out}
    found = sources.gather(known, config=config, environ=environ, flags=flags or {})
    values = {}
    for name, given in found.items():
        try:
            values[name] = known[name].metadata["parse"](given.text)
        except ValueError as error:
            raise ConfigError(f"{name} (from {given.source}): {error}") from None
    settings = Settings(**values)
    if "redis_prefix" not in found and (number := redis_database(settings.redis_url)):
        raise ConfigError(SHARED_CHANNELS.format(number, settings.redis_prefix))
    origins = {name: found[name].source if name in found else "default" for name in known}
    return LoadedSettings(settings, origins, left_out)
