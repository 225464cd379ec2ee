"""`transcriber tail`: captions of what is being said now, straight from the Redis channels, by any server on them."""

import argparse
import asyncio
from collections.abc import Callable
from typing import Any

from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.event_display import EventDisplay
from transcriber.cli.http_client import add_config_flag
from transcriber.cli.server_store import open_servers_store
from transcriber.cli.terminal_text import print_status
from transcriber.errors import BadRequest, CallNotFound, StoreError
from transcriber.events.schema import parse
from transcriber.settings.definition import Settings, load_settings
from transcriber.store.redis_store import RedisStore
from transcriber.telephony.twilio.messages import SID, SID_FORM

RETRY_S = 1.0
Event = dict[str, Any]


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "tail",
        run=run,
        summary="follow live calls on the Redis channels: the caller on the left, the agent on the right",
        examples="""
            transcriber tail                                          every call
            transcriber tail CA11111111111111111111111111111111      one call, until it ends
            transcriber tail --finals --json | jq -r .text
        """,
    )
    parser.add_argument("call_sid", metavar="CALL_SID", nargs="?", help="only this call (default: all)")
    parser.add_argument("--finals", action="store_true", help="finished utterances only")
    parser.add_argument("--json", action="store_true", help="print every event as one line of JSON")
    add_config_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Follow until the call ends, or until Ctrl-C.

    Raises StoreError when Redis is not there at the start, BadRequest for what no call can be named.
    """
    if args.call_sid is not None and not SID.fullmatch(args.call_sid):
        raise BadRequest(f"CALL_SID must be {SID_FORM}")
    settings = load_settings(config=args.config).settings
    display = EventDisplay(as_json=args.json, sides=True, ids=args.call_sid is None)

    def show(event: Event) -> None:
        if event.get("type") == "final" or not args.finals:
            display.show(event)

    with display.live():
        asyncio.run(follow(settings, args.call_sid, show=show, report=print_status))
    return 0


async def follow(
    settings: Settings, call_sid: str | None, *, show: Callable[[Event], None], report: Callable[[str], None]
) -> None:
    """Hand every live event to `show`, to the end of the one call if one is named.

    `report` is told when Redis goes away and when it comes back; what is published in between is not seen. It is told
    as well that the one call does not exist so far, or was over before its end could be seen. Raises StoreError when
    Redis cannot be reached at first.
    """
    if call_sid is None and settings.pubsub == "sharded":
        report("partials are shown of a single call only: TRANSCRIBER_PUBSUB is sharded")
    connected = away = False
    while True:
        trouble = "the connection ended, or this terminal fell behind"
        try:
            async with (
                await open_servers_store(settings) as store,
                store.feed.follow(call_sid) as published,
            ):
                if away:
                    report("Redis is back")
                if call_sid is not None and await _is_over(store, call_sid, report, first=not connected):
                    return
                connected, away = True, False
                async for item in published:
                    event = parse(item.json)
                    show(event)
                    if call_sid is not None and event.get("type") == "call.ended":
                        return
        except StoreError as error:
            if not connected:
                raise
            trouble = str(error)
        if not away:
            report(f"Redis is away ({trouble}); waiting for it")
        away = True
        await asyncio.sleep(RETRY_S)


async def _is_over(store: RedisStore, call_sid: str, report: Callable[[str], None], *, first: bool) -> bool:
    """Whether no end of the call will be published any more, as far as this user may read that."""
    try:
        status = (await store.history.call(call_sid)).get("status")
    except CallNotFound:
        if first:
            report(f"there is no call {call_sid} so far; waiting for it")
        return False
    except StoreError:
        return False
    if status == "live":
        return False
    report(f"call {call_sid} is over; `transcriber show {call_sid}` prints its transcript")
    return True
