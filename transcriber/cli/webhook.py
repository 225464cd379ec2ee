"""`transcriber webhook`: finals and call ends to a URL, signed, in order per call, at least once."""

import argparse
import asyncio
import dataclasses
import os
import re
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.http_client import add_config_flag
from transcriber.cli.server_store import open_servers_store
from transcriber.cli.terminal_text import json_line, print_status, printable
from transcriber.errors import ConfigError
from transcriber.observability import logs
from transcriber.settings.definition import Settings, load_settings
from transcriber.settings.signing_secret import key_of
from transcriber.store.redis_store import RedisStore
from transcriber.webhooks.client import WebhookClient, checked_url
from transcriber.webhooks.dead_letter_redelivery import redeliver_dead_letters
from transcriber.webhooks.dead_letters import DeadLetters
from transcriber.webhooks.deliverer import DeliveryContext
from transcriber.webhooks.dispatcher import WebhookDispatcher
from transcriber.webhooks.metrics import OUTCOMES, WebhookMetrics
from transcriber.webhooks.queue import WebhookQueue

ATTEMPTS, CONCURRENCY, TIMEOUT_S, TAKEOVER_S = 20, 32, 15.0, 30.0
MIN_TAKEOVER_S = 2.0


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "webhook",
        run=run,
        summary="send finals and call ends to a URL: signed, in order per call, at least once",
        examples="""
            TRANSCRIBER_WEBHOOK_SECRET="whsec_$(openssl rand -base64 32)" transcriber webhook https://crm.example/calls
            transcriber webhook https://crm.example/calls --name crm --all
            transcriber webhook --name crm --dead
            transcriber webhook https://crm.example/calls --name crm --replay
        """,
    )
    parser.add_argument("url", metavar="URL", nargs="?", help="where to send: https, or http on this machine")
    parser.add_argument("--name", default="default", help="name of the webhook: Redis keeps how far it has come")
    parser.add_argument("--all", action="store_true", help="when the name is new: begin with every call that is kept")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dead", action="store_true", help="list the dead letters and exit")
    what.add_argument("--replay", action="store_true", help="send the dead letters once more and exit")
    what.add_argument("--discard", action="store_true", help="remove the dead letters and exit")
    parser.add_argument("--json", action="store_true", help="with --dead: one line of JSON each")
    parser.add_argument(
        "--attempts",
        type=int,
        default=ATTEMPTS,
        metavar="N",
        help=f"tries until an event becomes a dead letter (default: {ATTEMPTS}, about an hour)",
    )
    parser.add_argument(
        "--concurrency", type=int, default=CONCURRENCY, metavar="N", help=f"requests at once (default: {CONCURRENCY})"
    )
    parser.add_argument(
        "--timeout-s", type=float, default=TIMEOUT_S, metavar="S", help=f"of each request (default: {TIMEOUT_S:g})"
    )
    parser.add_argument(
        "--takeover-s",
        type=float,
        default=TAKEOVER_S,
        metavar="S",
        help=f"seconds until others send what a dead sender had taken (default: {TAKEOVER_S:g})",
    )
    _add_metrics_flags(parser)
    parser.add_argument("--allow-http", action="store_true", help="send unencrypted beyond this machine")
    add_config_flag(parser)


def _add_metrics_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--metrics-port", type=int, metavar="PORT", help="serve Prometheus metrics on this port")
    parser.add_argument(
        "--metrics-host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address of that port (default: 127.0.0.1, which is for this machine only)",
    )


def run(args: argparse.Namespace) -> int:
    """Send until SIGTERM or Ctrl-C, or list, send again or forget the dead letters. Raises TranscriberError."""
    _check(args)
    settings = load_settings(config=args.config).settings
    if args.dead or args.discard:
        return asyncio.run(_list_or_discard(args, settings))
    if args.url is None:
        args.usage_error("say to which URL")
    checked_url(args.url, allow_http=args.allow_http)
    if not settings.webhook_secret:
        raise ConfigError(
            'TRANSCRIBER_WEBHOOK_SECRET is not set: make one with echo "whsec_$(openssl rand -base64 32)" '
            "and give it to the receiver, too"
        )
    if args.replay:
        return asyncio.run(_replay(args, settings))
    logs.set_up(settings.log_level, settings.log_format)
    asyncio.run(_send(args, settings))
    return 0


def _check(args: argparse.Namespace) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", args.name):
        args.usage_error("--name must be 1 to 64 letters, digits, dots, dashes or underscores")
    if args.attempts < 1 or args.concurrency < 1 or args.timeout_s <= 0:
        args.usage_error("--attempts, --concurrency and --timeout-s must be more than nothing")
    if args.takeover_s < MIN_TAKEOVER_S:
        args.usage_error(f"--takeover-s must be {MIN_TAKEOVER_S:g} or more")


async def _send(args: argparse.Namespace, settings: Settings) -> None:
    metrics = WebhookMetrics()
    async with (
        await open_servers_store(settings) as store,
        _client(args, settings) as client,
    ):
        queue = _queue(args, store)
        new = await queue.register(born_ms=0 if args.all else None)
        context = DeliveryContext(
            queue=queue,
            dead_letters=_dead_letters(args, settings, store),
            client=client,
            metrics=metrics,
            stopping=asyncio.Event(),
            max_attempts=args.attempts,
            lease_s=args.takeover_s,
        )
        dispatcher = WebhookDispatcher(context, store.feed)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, dispatcher.stop)
        with _metrics(args, metrics):
            print_status(f"webhook {args.name}: {_beginning(args, new=new)}")
            await dispatcher.run()
    print_status("stopped: " + ", ".join(f"{metrics.count(word)} {word}" for word in OUTCOMES))


def _beginning(args: argparse.Namespace, *, new: bool) -> str:
    if not new:
        return "going on where it was" + (" (--all is for new names)" if args.all else "")
    return "new, sending every call that is kept" if args.all else "new, beginning with the calls that are live"


async def _list_or_discard(args: argparse.Namespace, settings: Settings) -> int:
    async with await open_servers_store(settings) as store:
        dead_letters = _dead_letters(args, settings, store)
        for letter in await dead_letters.all():
            if args.discard:
                await dead_letters.discard(letter)
            elif args.json:
                print(json_line(dataclasses.asdict(letter)))
            else:
                tries = "1 try" if letter.attempts == 1 else f"{letter.attempts} tries"
                print(
                    printable(f"{letter.at}  {letter.call_sid}  event {letter.seq}  {tries}, the last: {letter.reason}")
                )
    return 0


async def _replay(args: argparse.Namespace, settings: Settings) -> int:
    async with await open_servers_store(settings) as store, _client(args, settings) as client:
        result = await redeliver_dead_letters(_dead_letters(args, settings, store), client)
    print_status(
        f"{result.delivered} delivered, {result.kept} not taken and kept, {result.lost} of deleted or expired calls"
    )
    return 1 if result.kept else 0


def _queue(args: argparse.Namespace, store: RedisStore) -> WebhookQueue:
    consumer = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    return WebhookQueue(store.client, store.keys, name=args.name, consumer=consumer, lease_s=args.takeover_s)


def _dead_letters(args: argparse.Namespace, settings: Settings, store: RedisStore) -> DeadLetters:
    return DeadLetters(store.client, store.keys, name=args.name, ttl_s=settings.history_ttl_s)


def _client(args: argparse.Namespace, settings: Settings) -> WebhookClient:
    keys = [key_of(secret) for secret in settings.webhook_secret]
    return WebhookClient(args.url, keys, timeout_s=args.timeout_s, concurrency=args.concurrency)


@contextmanager
def _metrics(args: argparse.Namespace, metrics: WebhookMetrics) -> Iterator[None]:
    if args.metrics_port is None:
        yield
        return
    try:
        server, thread = start_http_server(args.metrics_port, addr=args.metrics_host, registry=metrics.registry)
    except OSError as error:
        raise ConfigError(
            f"cannot serve metrics on {args.metrics_host} port {args.metrics_port}: {error.strerror}"
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
