"""`transcriber size`: how many servers, how much Redis, memory, disk and network so many calls at once take."""

import argparse
import asyncio
import dataclasses
import re

from transcriber.benchmark.fleet_size import Demand, Fleet, Machine, fleet
from transcriber.benchmark.sizing_costs import MODELS, ModelCost
from transcriber.cli.arguments import count, positive
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.http_client import Connection, Server, add_config_flag, find_server
from transcriber.cli.terminal_text import json_line
from transcriber.errors import BadRequest, ServerUnreachable
from transcriber.runtime.machine import cpu_cores

ROOM = re.compile(r"^transcriber_tracks_capacity (\S+)$", re.MULTILINE)


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "size",
        run=run,
        summary="reckon how many servers and how much Redis so many calls take, from measured costs",
        examples="""
            transcriber size --calls 100
            transcriber size --calls 1000 --model ko --history-days 1 --json
            transcriber size --calls 1000 --measured
            transcriber size --calls 1000 --cores 8 --room 400
        """,
    )
    usual, machine = Demand(calls=1), Machine()
    parser.add_argument("--calls", type=count, required=True, metavar="N", help="calls at once, of two tracks each")
    parser.add_argument("--model", choices=MODELS, default="en-demo", help="whose figures are taken (en-demo)")
    room = parser.add_mutually_exclusive_group()
    room.add_argument("--room", type=count, metavar="N", help="tracks that a server of --cores has room for")
    room.add_argument("--measured", action="store_true", help="take what this machine's running server has room for")
    parser.add_argument("--url", help="with --measured: another server, of --cores (default: this machine's)")
    for name, default, about in (
        ("cores", machine.cores, "of each server"),
        ("hours-a-day", usual.hours_a_day, "in which so many calls are live"),
        ("history-days", usual.history_days, "that calls are kept (HISTORY_TTL_S)"),
        ("redis-gb", machine.redis_gb, "memory of each Redis machine"),
        ("call-minutes", usual.call_minutes, "length of a long call, for the journal"),
        ("outage-minutes", usual.outage_minutes, "that Redis may be away, for the outbox"),
    ):
        parser.add_argument(f"--{name}", type=positive, default=default, metavar="N", help=f"{about} ({default:g})")
    parser.add_argument("--headroom", type=_percent, default=usual.headroom, metavar="%", help="room kept free (25)")
    parser.add_argument(
        "--rush", type=_percent, default=usual.rush, metavar="%", help="of the calls, come before new servers run (50)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_config_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Print the answer. Raises BadRequest, ConfigError, ServerUnreachable."""
    demand = Demand(
        calls=args.calls,
        hours_a_day=args.hours_a_day,
        history_days=args.history_days,
        headroom=args.headroom,
        rush=args.rush,
        call_minutes=args.call_minutes,
        outage_minutes=args.outage_minutes,
    )
    if demand.hours_a_day > 24:
        args.usage_error("a day has 24 hours")
    model, cores = _model(args)
    try:
        found = fleet(demand, model, Machine(cores=cores, redis_gb=args.redis_gb))
    except ValueError as error:
        raise BadRequest(str(error)) from None
    if args.json:
        print(json_line(dataclasses.asdict(found)))
    else:
        print("\n".join(lines(demand, found)))
    return 0


def lines(demand: Demand, found: Fleet) -> list[str]:
    """The answer for people."""
    each = found.cores / found.servers
    redis = "one Redis" if found.redis_masters == 1 else f"a cluster of {found.redis_masters} masters"
    return [
        f"{demand.calls:,} calls at once: {found.tracks:,} tracks, {demand.hours_a_day:g} hours a day, "
        f"kept for {demand.history_days:g} day{'s' * (demand.history_days != 1)}",
        f"servers   {found.servers:,} of {each:g} cores, with room for {found.max_tracks} tracks each (MAX_TRACKS)",
        f"          each: {found.server_memory_gb:g} GB of memory, {found.server_disk_gb:g} GB of disk, "
        f"{found.server_mbit:g} Mbit/s in",
        f"scaling   never fewer than {found.min_replicas:,} (minReplicas); {demand.headroom:g} % of the room kept free",
        f"network   {found.total_mbit:,} Mbit/s from Twilio",
        f"redis     {redis}, PUBSUB={found.pubsub}: {found.redis_memory_gb:,} GB of calls, {found.redis_cores:g} cores",
        f"          the search index: {found.search_index_cores:g} of one master's core",
        f"senders   {found.webhook_senders} for each webhook",
    ]


def _model(args: argparse.Namespace) -> tuple[ModelCost, float]:
    """What a track costs, and the cores of a server."""
    model = MODELS[args.model]
    if args.measured:
        cores = args.cores if args.url else cpu_cores()
        return dataclasses.replace(model, tracks=asyncio.run(_room(args)), cores=cores), cores
    if args.room:
        return dataclasses.replace(model, tracks=args.room, cores=args.cores), args.cores
    return model, args.cores


async def _room(args: argparse.Namespace) -> int:
    """`transcriber_tracks_capacity` of this machine's server."""
    server, settings = find_server(argparse.Namespace(**vars(args), api_key_file=None, api_key=None))
    if settings.metrics_address and not args.url:
        server = Server(f"http://{settings.metrics_address}")
    async with Connection(server) as connection:
        found = ROOM.search(await connection.text("/metrics"))
    if found is None:
        raise ServerUnreachable(f"{server.url}/metrics does not say how many tracks there is room for")
    return int(float(found[1]))


def _percent(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 95:
        raise argparse.ArgumentTypeError("must be 0 to 95")
    return value
