"""`transcriber calls`: the history as a table."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from transcriber.cli.connection import Connection, Server, add_flags, find_server
from transcriber.cli.parsing import Subparsers, add_command
from transcriber.cli.terminal import clock, json_line, printable
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
            transcriber calls --limit 1000 --json
        """,
    )
    parser.add_argument("--status", choices=STATUSES, help="only these")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default: 20)")
    parser.add_argument("--json", action="store_true", help="print every call as one line of JSON")
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print the calls. Raises TranscriberError."""
    if args.limit < 1:
        args.usage_error("--limit must be 1 or more")
    server, _ = find_server(args)
    found = asyncio.run(_fetch(server, args.status, args.limit))
    if args.json:
        for call in found:
            print(json_line(call))
    elif found:
        Console().print(_table(found))
    else:
        print("no calls")
    return 0


async def _fetch(server: Server, status: str | None, limit: int) -> list[Call]:
    """Pages until there are enough."""
    found: list[Call] = []
    params = {"status": status} if status else {}
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


def _table(found: Sequence[Call]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("call", "started", "status", "tracks"):
        table.add_column(name, no_wrap=name == "call", overflow="fold")
    for name in ("duration", "finals", "words"):
        table.add_column(name, justify="right")
    for call in found:
        status = _cell(call, "status")
        table.add_row(
            _cell(call, "call_sid"),
            Text(_started(call)),
            Text(status.plain, style=COLOURS.get(status.plain, "")),
            _cell(call, "tracks"),
            Text(_duration(call)),
            _cell(call, "finals"),
            _cell(call, "words"),
        )
    return table


def _cell(call: Call, name: str) -> Text:
    value = call.get(name)
    if isinstance(value, (list, tuple, dict)):
        value = ", ".join(map(str, value))
    return Text("" if value is None else printable(str(value)))


def _started(call: Call) -> str:
    """In this machine's time zone."""
    try:
        return datetime.fromisoformat(str(call.get("started_at"))).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return ""


def _duration(call: Call) -> str:
    duration_ms = call.get("duration_ms")
    return clock(duration_ms) if isinstance(duration_ms, int) else ""
