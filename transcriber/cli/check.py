"""`transcriber check`: are the settings, the model, Redis and the signature set-up in order, before calls come in."""

import argparse
import asyncio
import errno
import ipaddress
import os
from collections.abc import Callable
from functools import partial

from transcriber import catalog
from transcriber.catalog import ModelFolder, static_graph, validation
from transcriber.catalog.trial import Trials
from transcriber.cli.check_report import print_checks
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.setting_flags import add_setting_flags, settings_of
from transcriber.cli.terminal_text import printable
from transcriber.errors import ConfigError, TranscriberError
from transcriber.runtime import sandbox
from transcriber.settings import api_keys, local_key, service_links
from transcriber.settings.definition import Settings
from transcriber.settings.host_address import is_loopback
from transcriber.store.redis import binary
from transcriber.store.redis_store import open_store
from transcriber.web.transport.certificate import Certificate

LOCAL_PROGRAMS = "every program that speaks to this machine's loopback address itself"
FOR_A_PROXY = "a proxy or tunnel may look the same: set TRANSCRIBER_PUBLIC_URL or TRANSCRIBER_API_KEYS before one"


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "check",
        run=run,
        summary="validate settings, model, Redis and signature set-up; exit status 1 when something is wrong",
        examples="""
            transcriber check
            transcriber check --config /etc/transcriber.toml
        """,
    )
    add_setting_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print each setting with its source, then each check. Raises ConfigError on settings that cannot be used."""
    loaded = settings_of(args)
    width = max(len(name) for name, _, _ in loaded.rows())
    for name, value, source in loaded.rows():
        print(f"{name:<{width}}  {printable(value) or '-':<28}  {source}")
    if loaded.left_out:
        print(service_links.notice(loaded.left_out))
    print()
    settings = loaded.settings
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("data", _data),
        ("models", _models),
        ("model", _model),
        *((f"model {folder.name}", partial(_other_model, folder)) for folder in _others(settings)),
        ("workers", _workers),
        ("redis", _redis),
        *([("tls", _tls)] if settings.tls_cert else []),
        ("streams", _streams),
        ("api", _api),
        *([("proxies", _proxies)] if settings.trusted_proxies else []),
    ]
    return print_checks((name, partial(check, settings)) for name, check in checks)


def _data(settings: Settings) -> str:
    """Whether a server could use the folder; none is made."""
    there = settings.data_dir
    try:
        while not there.exists():
            there = there.parent
        if there.is_dir() and os.access(there, os.R_OK | os.W_OK | os.X_OK):
            return f"{settings.data_dir} can be used" + ("" if there == settings.data_dir else "; it is not there yet")
        reason = os.strerror(errno.EACCES if there.is_dir() else errno.ENOTDIR)
    except OSError as error:
        reason = error.strerror or str(error)
    raise ConfigError(f"{settings.data_dir} cannot be used ({reason}): set another TRANSCRIBER_DATA_DIR")


def _models(settings: Settings) -> str:
    home = settings.models_home
    pulled = sum(folder.path.parent == home for folder in catalog.installed(home))
    kind = "may be written" if os.access(home, os.W_OK) else "read-only" if pulled or home.is_dir() else "not there yet"
    return f"{pulled} pulled in {home} ({kind})"


def _model(settings: Settings) -> str:
    folder = catalog.find(settings.model, settings.models_home)
    folder.check()
    asyncio.run(Trials(*settings.model_homes).ensure_tried(folder))
    note = ", the demo model: about 2,250 words" if folder.name == catalog.DEMO else ""
    warnings = "".join(f"; {warning}" for warning in validation.warnings(folder.path))
    kind = "dynamic" if static_graph.is_dynamic(static_graph.folder_to_load(folder.path)) else "static"
    facts = f"language {folder.language}, {folder.band} band, {kind} graph{note}"
    return f"{folder.name} in {folder.path} ({facts}){warnings}"


def _others(settings: Settings) -> list[ModelFolder]:
    """Installed models besides the one that a server would load."""
    try:
        chosen = catalog.find(settings.model, settings.models_home).path
    except TranscriberError:
        chosen = None
    try:
        return [folder for folder in catalog.installed(settings.models_home) if folder.path != chosen]
    except TranscriberError:  # the check of the model says it
        return []


def _other_model(folder: ModelFolder, _: Settings) -> str:
    folder.check()
    return "; ".join([f"whole (language {folder.language}, {folder.band} band)", *validation.warnings(folder.path)])


def _workers(_: Settings) -> str:
    """Never wrong: where the kernel does not allow a part, the rest still holds."""
    return f"the sandbox they decode in: {sandbox.trial()}"


def _redis(settings: Settings) -> str:
    if not settings.redis_url:
        return f"a private server will be started: {binary.find()}"
    asyncio.run(_try_redis(settings))
    return "answers, takes what is written and publishes it (every right was tried)"


async def _try_redis(settings: Settings) -> None:
    url, prefix, ttl_s = settings.redis_url, settings.redis_prefix, settings.history_ttl_s
    sharded = settings.pubsub == "sharded"
    async with await open_store(url, prefix=prefix, ttl_s=ttl_s, sharded=sharded) as store:
        await store.check_sharded()
        await store.check_acl()
        await store.check_database()


def _tls(settings: Settings) -> str:
    Certificate(settings.tls_cert, settings.tls_key)
    return "certificate and key are there and belong together"


def _streams(settings: Settings) -> str:
    if settings.twilio_auth_token:
        return f"signatures are checked against {settings.public_url} with {len(settings.twilio_auth_token)} token(s)"
    if settings.insecure:
        return "INSECURE: anybody who reaches the port, or a proxy in front of it, may stream"
    if settings.require_ticket:
        return "no auth token: a stream needs a ticket of /v1/twiml, or an API key"
    if settings.exposed:
        return "no auth token: only clients with an API key may stream"
    return f"no auth token: {LOCAL_PROGRAMS} may stream; {FOR_A_PROXY}"


def _proxies(settings: Settings) -> str:
    here = ipaddress.ip_network("::1" if ":" in settings.host else "127.0.0.0/8")
    networks = [ipaddress.ip_network(text) for text in settings.trusted_proxies]
    if is_loopback(settings.host) and not any(net.version == here.version and net.overlaps(here) for net in networks):
        raise ConfigError(
            f"TRANSCRIBER_TRUSTED_PROXIES are elsewhere, but {settings.host} is only reached from this machine: "
            "name the proxy on it too (127.0.0.1)"
        )
    return f"{', '.join(settings.trusted_proxies)} say whom they speak for"


def _api(settings: Settings) -> str:
    if settings.api_keys:
        keys = [api_keys.parse(text) for text in settings.api_keys]
        every = sum(key.roles == api_keys.Role.ADMIN for key in keys)
        return f"{len(keys)} key(s), {every} for everything, {sum(not key.plain for key in keys)} kept as a hash"
    if settings.needs_local_key:
        made = "has made one" if local_key.find(settings.data_dir) else "will make one at its first start"
        return f"no keys set: the server {made}, in {local_key.path_of(settings.data_dir)}"
    if settings.insecure:
        return "INSECURE: open to everybody who reaches the port, or a proxy in front of it; DELETE too"
    return f"no key: {LOCAL_PROGRAMS} may use it; {FOR_A_PROXY}"
