"""`transcriber serve`: the server, from its settings to its last flushed word."""

import argparse
import asyncio
import dataclasses
import gc
import resource
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from transcriber import catalog
from transcriber.cli.command import Subparsers, add_command
from transcriber.observability import logs
from transcriber.observability.url_credentials import without_credentials
from transcriber.runtime import allocator
from transcriber.runtime.background import run_in_background
from transcriber.server.server import Server, running
from transcriber.settings import local_key, sources
from transcriber.settings.definition import Loaded, Settings, load_settings
from transcriber.telephony.twilio.signature import PublicAddress

MOST_FILES = 65_536
FLAGS = [item.name for item in dataclasses.fields(Settings)]
FLAGS += [item.name + sources.FILE for item in dataclasses.fields(Settings) if sources.has_file(item)]


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "serve",
        run=run,
        summary="run the server",
        examples="""
            transcriber serve
            transcriber serve --port 9000 --data-dir ./data
            TRANSCRIBER_REDIS_URL=redis://127.0.0.1:6379/0 transcriber serve --model vosk-model-small-en-us-0.15
        """,
    )
    add_setting_flags(parser)


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """`--config` and a flag for every setting; those of secrets are there to be refused in our own words."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file with settings")
    group = parser.add_argument_group("settings (also TRANSCRIBER_<NAME> in the environment)")
    for item in dataclasses.fields(Settings):
        flag = "--" + item.name.replace("_", "-")
        doc = argparse.SUPPRESS if item.metadata["secret"] else item.metadata["doc"]
        group.add_argument(flag, dest=item.name, metavar="VALUE", help=doc)
        if sources.has_file(item):
            doc = f"holds it: {item.metadata['doc']}" if item.metadata["secret"] else argparse.SUPPRESS
            group.add_argument(f"{flag}-file", dest=item.name + sources.FILE, metavar="FILE", help=doc)


def settings_of(args: argparse.Namespace) -> Loaded:
    """The settings of a command with `add_setting_flags`. Raises ConfigError."""
    flags = {name: value for name in FLAGS if (value := getattr(args, name)) is not None}
    loaded = load_settings(config=args.config, flags=flags)
    loaded.settings.require_safe()
    return loaded


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C (a second one hurries); SIGHUP renews model and certificate. TranscriberError."""
    settings = settings_of(args).settings
    logs.set_up(settings.log_level, settings.log_format)
    _allow_many_files()
    asyncio.run(_serve(settings))
    return 0


def _allow_many_files() -> None:
    """A connection is a file; what systems allow at first (often 1024) is for programs with few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(settings: Settings) -> None:
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    serving = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stopped_early, stop, serving)
    try:
        async with running(settings, say=_say) as server, AsyncExitStack() as stack:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, _stopped, stop, server)
            for line in _greeting(server):
                _say(line)
            run_in_background(stack, _reload(reload, server), name="heeding SIGHUP")
            _leave_what_stays()
            await stop.wait()
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        return
    _say("stopped")


def _leave_what_stays() -> None:
    """The collector looks through everything that is old, which holds the loop for tens of milliseconds; what a start

    has made stays for good, so it need not be looked at again.
    """
    gc.collect()
    gc.freeze()


async def _reload(asked: asyncio.Event, server: Server) -> None:
    while await asked.wait():
        asked.clear()
        if server.certificate is not None:
            server.certificate.refresh()
        await server.change_model()


def _stopped_early(stop: asyncio.Event, serving: "asyncio.Task[None] | None") -> None:
    stop.set()
    if serving is not None:
        serving.cancel()


def _stopped(stop: asyncio.Event, server: Server) -> None:
    if stop.is_set():
        server.sessions.hurry()
        return
    stop.set()
    live = server.sessions.live_streams
    if live:
        _say(f"stopping: {live} live streams may go on for {server.settings.drain_s} s; a second signal hurries")


def _greeting(server: Server) -> list[str]:
    engine = server.engine
    lines = [f"model: {engine.model}, language {engine.language}; room for {server.max_tracks} tracks at once"]
    if engine.model == catalog.DEMO:
        lines.append(
            "model: this is the small demo model: about 2,250 words of call-centre English, good for trying things "
            "out; `transcriber models pull en` gets an official one for real calls"
        )
    if not allocator.in_use():
        lines.append("memory: the C library's allocator; with mimalloc (package cmeel-mimalloc) decoding costs less")
    lines += _access(server)
    lines.append(f"ready on {server.url}; try it from a second terminal with: transcriber replay{_flags(server)}")
    return lines


def _access(server: Server) -> list[str]:
    """Who may do what. The key itself is for the eyes at a terminal, never for what collects logs."""
    settings, lines = server.settings, []
    if server.local_key:
        path = local_key.path_in(settings.data_dir)
        lines.append(f"access: no TRANSCRIBER_API_KEYS are set, so the API wants the key in {path}")
        if sys.stderr.isatty():
            pages = [url for url in (server.url, _page(settings.public_url)) if url]
            lines.append(
                "access: the page with this key, for you alone: "
                + ", or ".join(f"{url}/#key={server.local_key}" for url in pages)
            )
    elif not settings.api_keys:
        lines.append(
            "access: INSECURE is set: everybody who can reach this address, or a proxy before it, can read, delete and "
            "send calls"
            if settings.insecure
            else "access: nothing is set that says otherwise, so only programs on this machine are let in, without a "
            "key; for a proxy or a tunnel set TRANSCRIBER_PUBLIC_URL or TRANSCRIBER_API_KEYS first"
        )
    if not settings.twilio_auth_token:
        proof = "; they want an API key" if settings.exposed and not settings.insecure else ""
        lines.append(
            f"access: no TRANSCRIBER_TWILIO_AUTH_TOKEN is set, so streams are not checked for a signature{proof}"
        )
    return lines


def _page(public_url: str) -> str:
    return PublicAddress.parse(public_url).url("https", "") if public_url else ""


def _flags(server: Server) -> str:
    """What a command needs to find the server, when its own settings do not say."""
    usual = Settings()
    flags = "" if server.url == usual.local_url else f" --url {server.url}"
    if server.local_key and (flags or server.settings.data_dir != usual.data_dir):
        flags += f" --api-key-file {local_key.path_in(server.settings.data_dir)}"
    return flags


def _say(line: str) -> None:
    print(f"transcriber: {without_credentials(line)}", file=sys.stderr, flush=True)
