"""`transcriber calls`: the history as a table."""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.http_client import Connection, Server, add_flags, find_server
from transcriber.cli.table import Table
from transcriber.cli.table_display import print_table
from transcriber.cli.terminal_text import clock_time, draws, json_line, printable
from transcriber.errors import ServerUnreachable

STATUSES = ("live", "ended", "interrupted")
COLOURS = {"live": "green", "interrupted": "yellow"}
PAGE = 200
Call = Mapping[str, Any]


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "calls",
        run=run,
        summary="list the calls, newest first",
        examples="""
            transcriber calls
            transcriber calls --status live
            transcriber calls --search 'refund "credit card"'
            transcriber calls --limit 1000 --json
        """,
    )
    parser.add_argument("--status", choices=STATUSES, help="only these")
    parser.add_argument("--search", metavar="WORDS", help='only calls that hold all of these: words, pay*, "a phrase"')
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default: 20)")
    parser.add_argument("--json", action="store_true", help="print every call as one line of JSON")
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print the calls. Raises TranscriberError."""
    if args.limit < 1:
        args.usage_error("--limit must be 1 or more")
    server, _ = find_server(args)
    wanted = {name: value for name, value in (("status", args.status), ("q", args.search)) if value is not None}
    found = asyncio.run(_fetch(server, wanted, args.limit))
    if args.json:
        for call in found:
            print(json_line(call))
    elif found:
        print_table(table_of(found))
        for call in found:
            _print_matches(call)
    else:
        print("no calls")
    return 0


async def _fetch(server: Server, wanted: Mapping[str, str], limit: int) -> list[Call]:
    """Pages until there are enough."""
    found: list[Call] = []
    params = dict(wanted)
    async with Connection(server) as api:
        while len(found) < limit:
            page = await api.json("/v1/calls", params=params | {"limit": str(min(PAGE, limit - len(found)))})
            try:
                found += page["calls"]
                cursor = page["next"]
            except (KeyError, TypeError):
                raise ServerUnreachable(f"{server.url} answers in another way: is it a transcriber?") from None
            if not cursor:
                break
            params["cursor"] = cursor
    return found


def table_of(calls: Sequence[Call]) -> Table:
    """Fits 80 columns where it is drawn: only the moment wraps, into date and time."""
    return Table(
        columns=("call", "started", "length", "status", "tracks", "finals", "words"),
        rows=[_row(call) for call in calls],
        right=("length", "finals", "words"),
        wrapping=("started",),
        colours={"status": COLOURS},
    )


def _row(call: Call) -> list[str]:
    cells = (call.get("call_sid", ""), _started(call), _length(call), call.get("status", ""), _tracks(call))
    return [printable(str(cell)) for cell in (*cells, call.get("finals", ""), call.get("words", ""))]


def _print_matches(call: Call) -> None:
    """Where a search found its words, a line each."""
    for match in call.get("matches") or ():
        head = printable(f"{call.get('call_sid', '')} {clock_time(match['start_ms'])} {match['speaker']}: ")
        text = printable(str(match["text"]))
        if draws(sys.stdout):
            from transcriber.cli.rich_terminal.marked_text import print_marked

            print_marked(head, text, match["marks"])
        else:
            print(head + text)


def _tracks(call: Call) -> str:
    tracks = call.get("tracks")
    names = list(map(str, tracks)) if isinstance(tracks, (dict, list)) else []
    return "both" if len(names) == 2 else ", ".join(names)


def _started(call: Call) -> str:
    """In this machine's time zone."""
    try:
        return datetime.fromisoformat(str(call.get("started_at"))).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):
        return ""


def _length(call: Call) -> str:
    duration_ms = call.get("duration_ms")
    return clock_time(duration_ms) if isinstance(duration_ms, int) else ""
