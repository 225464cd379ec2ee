"""`transcriber calls`: the history as a table."""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.http_client import Connection, Server, add_flags, find_server
from transcriber.cli.terminal_text import clock_time, json_line, printable
from transcriber.errors import ServerUnreachable

STATUSES = ("live", "ended", "interrupted")
COLOURS = {"live": "green", "interrupted": "yellow"}
PAGE = 200
ROOMY_WIDTH = 100
PIPE_WIDTH = 200
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
        console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
        console.print(_table(found, gap=2 if console.width >= ROOMY_WIDTH else 1))
        for call in found:
            console.print(*_matches(call), sep="", end="")
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


def _table(found: Sequence[Call], *, gap: int) -> Table:
    """Fits 80 columns: only the moment wraps, into date and time."""
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for name in ("call", "started", "length", "status", "tracks", "finals", "words"):
        right = name in ("length", "finals", "words")
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "started")
    for call in found:
        status = printable(str(call.get("status", "")))
        table.add_row(
            _cell(call, "call_sid"),
            _started(call),
            _length(call),
            Text(status, style=COLOURS.get(status, "")),
            _tracks(call),
            _cell(call, "finals"),
            _cell(call, "words"),
        )
    return table


def _matches(call: Call) -> list[Text]:
    """Where a search found its words, a line each."""
    lines = []
    for match in call.get("matches") or ():
        text = Text(printable(str(match["text"])))
        for start, end in match["marks"]:
            text.stylize("bold yellow", start, end)
        who = printable(f"{call.get('call_sid', '')} {clock_time(match['start_ms'])} {match['speaker']}: ")
        lines.append(Text.assemble((who, "dim"), text, "\n"))
    return lines


def _cell(call: Call, name: str) -> Text:
    return Text(printable(str(call.get(name, ""))))


def _tracks(call: Call) -> Text:
    tracks = call.get("tracks")
    names = list(map(str, tracks)) if isinstance(tracks, (dict, list)) else []
    return Text("both" if len(names) == 2 else printable(", ".join(names)))


def _started(call: Call) -> Text:
    """In this machine's time zone."""
    try:
        return Text(datetime.fromisoformat(str(call.get("started_at"))).astimezone().strftime("%Y-%m-%d %H:%M"))
    except (ValueError, OverflowError):
        return Text("")


def _length(call: Call) -> Text:
    duration_ms = call.get("duration_ms")
    return Text(clock_time(duration_ms) if isinstance(duration_ms, int) else "")
