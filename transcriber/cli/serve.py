"""`transcriber serve`: runs the server, and says at its start where it is and who may use it."""

import argparse
import asyncio
import sys

from transcriber import catalog
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.setting_flags import add_setting_flags, settings_of
from transcriber.cli.terminal_text import print_status
from transcriber.observability import logs
from transcriber.runtime import allocator
from transcriber.runtime.machine import Share
from transcriber.server.process import serve_until_signalled
from transcriber.server.server import Server
from transcriber.settings import local_key, service_links
from transcriber.settings.definition import Settings
from transcriber.telephony.twilio.signature import PublicAddress


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


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C (a second one hurries); SIGHUP renews model and certificate. TranscriberError."""
    loaded = settings_of(args)
    settings = loaded.settings
    logs.set_up(settings.log_level, settings.log_format)
    if loaded.left_out:
        print_status(f"settings: {service_links.notice(loaded.left_out)}")
    asyncio.run(serve_until_signalled(settings, greeting=_greeting, report=print_status))
    return 0


def _greeting(server: Server) -> list[str]:
    model, tracks = server.recognition.model, server.sessions.admission.max_tracks
    lines = [f"model: {model.name}, language {model.language}; room for {tracks} tracks at once"]
    lines += [f"machine: {line}" for line in Share.now().limits()]
    if model.name == catalog.DEMO:
        lines.append(
            "model: this is the small demo model: about 2,250 words of call-centre English, good for trying things "
            "out; `transcriber models pull en` gets an official one for real calls"
        )
    if shortfall := allocator.shortfall():
        lines.append(f"memory: the C library's allocator; {shortfall}")
    lines += _access(server)
    lines.append(f"ready on {server.url}; try it from a second terminal with: transcriber replay{_flags(server)}")
    return lines


def _access(server: Server) -> list[str]:
    """Who may do what. The key itself is for the eyes at a terminal, never for what collects logs."""
    settings, lines = server.settings, []
    if server.services.local_key:
        path = local_key.path_of(settings.data_dir)
        lines.append(f"access: no TRANSCRIBER_API_KEYS are set, so the API wants the key in {path}")
        if sys.stderr.isatty():
            pages = [url for url in (server.url, _page(settings.public_url)) if url]
            lines.append(
                "access: the page with this key, for you alone: "
                + ", or ".join(f"{url}/#key={server.services.local_key}" for url in pages)
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
    if server.services.local_key and (flags or server.settings.data_dir != usual.data_dir):
        flags += f" --api-key-file {local_key.path_of(server.settings.data_dir)}"
    return flags
