"""`python -m docs.sizing` (a part of `make reference`): the tables of `deploy/SIZING.md`."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from docs.reference.markdown import table
from transcriber.benchmark import sizing_costs as costs
from transcriber.benchmark.fleet_size import Demand, Machine, fleet, memory_mb, room_of

PAGE = Path(__file__).parents[1] / "deploy/SIZING.md"
CORES = (1, 2, 4, 8, 16, 32)
CALLS = (100, 1_000, 10_000)
HISTORY_DAYS = (1, 7, 30)
_BLOCK = re.compile(r"(?P<begin><!-- begin: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end: (?P=name) -->)", re.DOTALL)


def filled(page: str) -> str:
    """The page with every table made anew. KeyError: a block that nothing makes."""
    return _BLOCK.sub(lambda block: f"{block['begin']}\n{BLOCKS[block['name']]()}\n\n{block['end']}", page)


def rooms() -> str:
    """Tracks of one server, by its cores."""
    rows = [[f"`{name}`", *(f"{room_of(model, cores)}" for cores in CORES)] for name, model in costs.MODELS.items()]
    return table(["model", *(f"{cores} cores" if cores > 1 else "1 core" for cores in CORES)], rows)


def memory() -> str:
    """MB of one server that is full, by its cores, as measured."""
    rows = [
        [f"`{name}`", *(f"{memory_mb(model, cores, room_of(model, cores)):,.0f}" for cores in CORES)]
        for name, model in costs.MODELS.items()
    ]
    return table(["model", *(f"{cores} cores" if cores > 1 else "1 core" for cores in CORES)], rows)


def fleets() -> str:
    """Servers of four cores, and Redis, a day of history."""
    heads = ["calls", "model", "servers", "minReplicas", "network in", "Redis CPU", "Redis masters", "PUBSUB"]
    rows = []
    for calls in CALLS:
        for name, model in costs.MODELS.items():
            one = fleet(Demand(calls=calls, history_days=1), model, Machine())
            cells = [
                f"{calls:,}",
                f"`{name}`",
                f"{one.servers:,}",
                f"{one.min_replicas:,}",
                f"{one.total_mbit:,} Mbit/s",
            ]
            rows.append([*cells, f"{one.redis_cores:g} cores", f"{one.redis_masters:,}", f"`{one.pubsub}`"])
    return table(heads, rows)


def histories() -> str:
    """Memory of the calls in Redis, and the masters that hold them."""
    model = costs.MODELS["en-demo"]
    rows = []
    for calls in CALLS:
        found = [fleet(Demand(calls=calls, history_days=days), model, Machine()) for days in HISTORY_DAYS]
        rows.append([f"{calls:,}", *(f"{one.redis_memory_gb:,} GB, {one.redis_masters:,}" for one in found)])
    heads = ["calls", *(f"{days} day{'s' * (days > 1)}: memory, masters" for days in HISTORY_DAYS)]
    return table(heads, rows)


def figures() -> str:
    """What all tables are reckoned from."""
    rows = [
        ["CPU of Redis for a second of a track", f"{1e6 * costs.REDIS_CORES:.0f} µs"],
        ["of it the search index, all of which lies on one master", f"{1e6 * costs.INDEX_CORES:.0f} µs"],
        ["memory of Redis for a second of a track", f"{costs.KEPT_BYTES} bytes"],
        ["finals, partials a second of a track", f"{costs.FINALS:g}, {costs.PARTIALS:g}"],
        ["CPU of a cluster's node for a message published at another", f"{1e6 * costs.BUS_CORES:.0f} µs"],
        ["a media message, and what lies around it on the wire", f"{costs.MEDIA_BYTES} + {costs.PACKET_BYTES} bytes"],
        ["most tracks of one server, whatever recognition costs", f"{costs.LOOP_TRACKS}"],
        ["disk: `JOURNAL=1`, a second of a live track", f"{costs.JOURNAL_BYTES:,} bytes"],
        ["disk: the outbox, a second of a track while Redis is away", f"{costs.OUTBOX_BYTES} bytes"],
        ["CPU of a webhook sender for an event", f"{1000 * costs.WEBHOOK_CORES:g} ms"],
    ]
    return table(["what", "figure"], rows)


BLOCKS: Mapping[str, Callable[[], str]] = {
    "rooms": rooms,
    "memory": memory,
    "fleets": fleets,
    "histories": histories,
    "figures": figures,
}


def main() -> None:
    """Write the page anew."""
    before = PAGE.read_text()
    after = filled(before)
    if after != before:
        PAGE.write_text(after)
        print(f"{PAGE.name}: written anew")


if __name__ == "__main__":
    main()
