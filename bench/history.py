"""The longest hold of the event loop, in ms, while histories are searched, exported and followed over HTTP; against the
same call read and written out in one piece on the loop. And the longest write of a final while searches of many
beginnings run, against writes alone.
"""

import argparse
import asyncio
import gc
import json
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import recordings
from bench.search import DAYS, NOW_MS, Speaker, write_call
from transcriber.events.captions import FORMATS
from transcriber.events.conversation import Conversation
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.worker.protocol import ScriptedModel
from transcriber.server.server import running
from transcriber.settings.definition import Settings
from transcriber.store.redis_store import RedisStore
from transcriber.store.search.entries import entries_of
from transcriber.store.search.index import IndexedCall
from transcriber.store.search.query import parse_query

LONG_CALL = 10**6
WIDE = "co* ca* ma* re* st* pa* de* se* be* wh* th* pr* in* on* an*"
FEWER = "co* ca* ma* re*"


async def held(work: Awaitable[object]) -> tuple[float, float, float]:
    """While the work goes on, in ms: the most CPU that the loop's thread took between two looks of a timer of 1 ms (its

    holds, whatever else the machine does), the most that the timer was late, and how long it all took.
    """
    cpu, late, stop = [0.0], [0.0], asyncio.Event()

    async def watch() -> None:
        while not stop.is_set():
            began, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.001)
            cpu.append((time.thread_time() - used) * 1000)
            late.append((time.perf_counter() - began) * 1000 - 1)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.05)
    began = time.perf_counter()
    await work
    took = (time.perf_counter() - began) * 1000
    stop.set()
    await watching
    return max(cpu), max(late), took


async def fetch(url: str, *more: str) -> int:
    """The size of an answer, read by a program of its own."""
    command = ["curl", "-sS", "--max-time", "300", "-o", "/dev/null", "-w", "%{size_download}", *more, url]
    child = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, check=True)
    return int(child.stdout)


async def fill(store: RedisStore, speaker: Speaker, calls: int, finals: int, long_finals: int) -> None:
    """Calls in which every final says `hello`, and a long one."""
    for number in range(calls):
        await write_call(store, number, [["hello", *speaker.sentence()]])
        await lengthen(store, number, finals)
    await write_call(store, LONG_CALL, [speaker.sentence()])
    await lengthen(store, LONG_CALL, long_finals)


async def lengthen(store: RedisStore, number: int, finals: int) -> None:
    """The call's one final, again and again, with later numbers and times."""
    sid = f"CA{number:032x}"
    *_, end = await store.history.events(sid)
    [final] = [json.loads(text) for text in await store.history.events(sid) if '"final"' in text]
    pipeline = store.client.pipeline(transaction=False)
    for seq in range(json.loads(end)["seq"] + 1, finals + 5):
        shift_ms = 3000 * seq
        words = [word | {"start_ms": word["start_ms"] + shift_ms, "end_ms": word["end_ms"] + shift_ms}
                 for word in final["words"]]  # fmt: skip
        event = final | {"seq": seq, "start_ms": shift_ms, "end_ms": shift_ms + 2500, "words": words}
        pipeline.xadd(store.keys.events(sid), {"event": json.dumps(event, separators=(",", ":"))}, id=f"{seq}-0")
    pipeline.hset(store.keys.call(sid), "seq", finals + 4)
    await pipeline.execute()


async def in_one_piece(store: RedisStore, form: str) -> None:
    """What no request may do: decode and write out a whole call without a pause."""
    texts = await store.history.events(f"CA{LONG_CALL:032x}")
    conversation = Conversation()
    for text in texts:
        conversation.add(text)
    "".join(FORMATS[form](conversation.finals()))


async def measure(url: str, store: RedisStore, speaker: Speaker, args: argparse.Namespace) -> None:
    """All of it, a line each."""
    sid = f"CA{LONG_CALL:032x}"
    asks: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        (f"search, {args.limit} calls a page", lambda: fetch(f"{url}/v1/calls?q=hello&limit={args.limit}")),
        ("list, 200 calls", lambda: fetch(f"{url}/v1/calls?limit=200")),
        ("list, no call of that status", lambda: fetch(f"{url}/v1/calls?status=interrupted")),
    ]
    for form in ("json", "txt", "vtt", "srt", "csv"):
        path = f"{url}/v1/calls/{sid}/transcript?format={form}"
        asks.append((f"transcript, {form}", lambda path=path: fetch(path)))  # type: ignore[misc]
    asks.append(("transcript, vtt, gzip", lambda: fetch(path.replace("csv", "vtt"), "-H", "Accept-Encoding: gzip")))
    asks.append(("events, history", lambda: fetch(f"{url}/v1/calls/{sid}/events")))
    for name, ask in asks:
        cpu, late, took = await held(ask())
        print(f"{name:32} longest hold {cpu:7.1f} ms of CPU, timer {late:7.1f} ms late, took {took:6.0f}")
    for form in ("vtt", "csv"):
        cpu, late, _ = await held(in_one_piece(store, form))
        print(f"{'in one piece, ' + form:32} longest hold {cpu:7.1f} ms of CPU, timer {late:7.1f} ms late")
    for query in (WIDE, FEWER):
        await beside_searches(url, store, speaker, query, args)


async def beside_searches(url: str, store: RedisStore, speaker: Speaker, query: str, args: argparse.Namespace) -> None:
    """Writes alone, and while twelve clients search as fast as they are answered."""
    for name in ("writes alone", "writes beside 12 searches"):
        stop = asyncio.Event()
        found = [0]

        async def search(found: list[int] = found, stop: asyncio.Event = stop) -> None:
            while not stop.is_set():
                await fetch(f"{url}/v1/calls?q={(query + ' zzzzq').replace(' ', '%20')}")
                found[0] += 1

        searching = [asyncio.create_task(search()) for _ in range(12)] if "beside" in name else []
        worst, failed = 0.0, 0
        until = time.perf_counter() + args.seconds
        number = LONG_CALL * 2 + id(stop) % 10**6
        while time.perf_counter() < until:
            number += 1
            before = time.perf_counter()
            try:
                await write_call(store, number, [["wort"]])
            except Exception:
                failed += 1
            worst = max(worst, time.perf_counter() - before)
        stop.set()
        await asyncio.gather(*searching)
        beginnings = query.count("*")
        print(
            f"{name}, {beginnings:2} beginnings: longest {worst * 1000:7.1f} ms, {failed} failed, searches {found[0]}"
        )


async def steps(store: RedisStore, speaker: Speaker, calls: int) -> None:
    """The longest stop of Redis that a search makes in an index of so many calls, by the search's kind."""
    index = store.search_index
    for number in range(calls):
        at_ms = NOW_MS - (number * 7919 % (DAYS * 86_400)) * 1000
        texts = [" ".join(speaker.sentence()) for _ in range(8)]
        await index.add({IndexedCall(f"CA{number:032x}", at_ms): entries_of(texts)})
    await store.client.config_set("slowlog-log-slower-than", 0)
    await store.client.config_set("slowlog-max-len", 10_000)
    common = " ".join(speaker.word(rank, rank + 1) for rank in range(3))
    for query in ("co*", FEWER, f"{common} zzzzq", f"{common} co* ca* pa* re*", common):
        await store.client.slowlog_reset()
        began = time.perf_counter()
        place: tuple[int, str] | None = None
        found = runs = 0
        while True:
            part = await index.find(parse_query(query), newest=place, oldest_ms=None, count=51)
            found, runs, place = found + len(part.calls), runs + 1, part.reached
            if place is None or found > 50:
                break
        took = time.perf_counter() - began
        entries = [one for one in await store.client.slowlog_get(10_000) if b"EVALSHA" in one["command"]]
        longest, total = max(one["duration"] for one in entries), sum(one["duration"] for one in entries)
        print(f"{query:38} longest step {longest / 1000:5.1f} ms, {runs:3} steps, {total / 1000:6.1f} ms of Redis, "
              f"{found} calls in {took * 1000:.0f} ms")  # fmt: skip


async def run(args: argparse.Namespace) -> None:
    """Fill, measure, tell."""
    words = (recordings.model("en-demo").path / "graph" / "words.txt").read_text().split()[::2]
    speaker = Speaker([word for word in words if word.isalpha()])
    with tempfile.TemporaryDirectory(prefix="history-") as directory:
        settings = Settings(port=0, data_dir=Path(directory), max_tracks=10, drain_s=0)
        async with running(settings, model_process=ModelProcess(ScriptedModel()), report=lambda line: None) as server:
            began = time.perf_counter()
            await fill(server.store, speaker, args.calls, args.finals, args.long)
            print(
                f"{args.calls} calls of {args.finals} finals, one of {args.long}: {time.perf_counter() - began:.0f} s"
            )
            gc.collect()
            gc.freeze()  # as `serve` does
            await measure(server.url, server.store, speaker, args)
            await steps(server.store, speaker, args.index)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--finals", type=int, default=150)
    parser.add_argument("--long", type=int, default=10_000, help="finals of the long call")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--index", type=int, default=18_000, help="calls in the index whose steps are measured")
    parser.add_argument("--seconds", type=float, default=5.0, help="of writing, alone and beside searches")
    recordings.heading()
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
