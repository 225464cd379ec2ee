"""`transcriber reindex`: makes the list of calls and the search index anew, from the calls' own keys."""

import argparse
import asyncio

from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.http_client import add_config_flag
from transcriber.cli.server_store import open_servers_store
from transcriber.cli.terminal_text import print_status
from transcriber.settings.definition import Settings, load_settings

STATUS_EVERY_CALLS = 10_000


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "reindex",
        run=run,
        summary="list and index every call that is kept anew, from the calls' own keys, beside running servers",
        examples="""
            transcriber reindex
            TRANSCRIBER_REDIS_URL=redis://127.0.0.1:6379/0 transcriber reindex
        """,
    )
    add_config_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Go through all of them, a slice at a time. Raises StoreError; what was done until then stays."""
    done = asyncio.run(_reindex(load_settings(config=args.config).settings))
    print(f"{done} calls are listed and indexed")
    return 0


async def _reindex(settings: Settings) -> int:
    done = 0
    async with await open_servers_store(settings) as store:
        async for done in store.index_repair.rebuild():
            if done % STATUS_EVERY_CALLS == 0:
                print_status(f"{done} calls so far")
    return done
