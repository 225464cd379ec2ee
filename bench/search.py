"""Full-text search over a filled history: milliseconds of a search by kind of query, and memory of the index. What the
index costs when finals are written: `bench/index_cost.py`.

The finals are sentences of words drawn from the bundled model's vocabulary, the rank-th word as often as 1 / rank.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench import recordings
from transcriber.events.schema import CallEnded, CallStarted, Final, StreamStarted, StreamStopped, Word
from transcriber.store.leases import Lease
from transcriber.store.ports import CallQuery
from transcriber.store.redis.private_server import PrivateRedis
from transcriber.store.redis_store import RedisStore, open_store
from transcriber.store.search.query import parse_query

AT = "2026-11-23T05:20:00.123Z"
WORDS_OF_A_FINAL = 11
DAYS = 30
SIDES = ("inbound", "outbound")
NOW_MS = 1_795_411_200_000


class Speaker:
    """Says sentences."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._random = random.Random(1)
        self._vocabulary = self._random.sample(list(vocabulary), len(vocabulary))
        self._weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]

    def sentence(self) -> list[str]:
        """About as many words as an utterance has."""
        count = max(2, round(self._random.gauss(WORDS_OF_A_FINAL, 4)))
        return self._random.choices(self._vocabulary, self._weights, k=count)

    def word(self, first: int, last: int) -> str:
        """A word between two ranks."""
        return self._vocabulary[self._random.randrange(first, last)]

    def query(self, kind: str) -> str:
        """A query of a kind."""
        match kind:
            case "rare word":
                return self.word(1500, len(self._vocabulary))
            case "common word":
                return self.word(0, 20)
            case "two common words":
                return f"{self.word(0, 20)} {self.word(0, 20)}"
            case "three words":
                return " ".join(self.word(20, 400) for _ in range(3))
            case "beginning":
                return self.word(100, 1500)[:3].ljust(2, "a") + "*"
            case _:
                return f'"{self.word(0, 30)} {self.word(0, 60)}"'


KINDS = ("rare word", "common word", "two common words", "three words", "beginning", "phrase")


async def write_call(store: RedisStore, number: int, texts: Sequence[list[str]]) -> float:
    """One ended call; seconds that its finals took to write."""
    sid, stream = f"CA{number:032x}", f"MZ{number:032x}"
    lease = Lease(store.owner, sid, stream)
    started = CallStarted(call_sid=sid, account_sid="AC1", resumed=False, at=AT)
    opened = StreamStarted(
        call_sid=sid, stream_sid=stream, tracks=SIDES, speakers=dict(zip(SIDES, ("caller", "agent"), strict=True)),
        start_ms=0, language="en", model="en-demo", parameters={}, at=AT,
    )  # fmt: skip
    at_ms = NOW_MS - (number * 7919 % (DAYS * 86_400)) * 1000
    await store.event_log.open(lease, started, opened, at_ms=at_ms)
    before = time.perf_counter()
    for place, words in enumerate(texts, 1):
        spoken = tuple(Word(word, 300 * i, 300 * i + 280, 0.9) for i, word in enumerate(words))
        await store.event_log.append(lease, place, Final(
            call_sid=sid, stream_sid=stream, track=SIDES[place % 2], speaker="caller", utterance=place,
            text=" ".join(words), start_ms=3000 * place, end_ms=3000 * place + 2500, confidence=0.9, words=spoken,
            language="en", model="en-demo", at=AT,
        ))  # fmt: skip
    took = time.perf_counter() - before
    stopped = StreamStopped(call_sid=sid, stream_sid=stream, reason="stop", audio_ms={}, errors={}, at=AT)
    await store.event_log.close(lease, len(texts) + 1, stopped, CallEnded(call_sid=sid, reason="stop", at=AT))
    return took


async def fill(store: RedisStore, speaker: Speaker, *, finals: int, per_call: int) -> None:
    """The history, several calls at once."""
    numbers = iter(range(finals // per_call))

    async def writer() -> None:
        for number in numbers:
            await write_call(store, number, [speaker.sentence() for _ in range(per_call)])

    await asyncio.gather(*(writer() for _ in range(16)))


async def measure(store: RedisStore, speaker: Speaker, *, searches: int, limit: int) -> None:
    """Milliseconds by kind."""
    everything: list[float] = []
    for kind in KINDS:
        took, found = [], 0
        for _ in range(searches):
            query = CallQuery(terms=parse_query(speaker.query(kind)), limit=limit)
            before = time.perf_counter()
            found += len((await store.history.calls(query)).calls)
            took.append(1000 * (time.perf_counter() - before))
        everything += took
        p50, p95 = np.percentile(took, (50, 95))
        per_page = f"calls a page {found / searches:.1f}"
        print(f"{kind:17} p50 {p50:6.1f} ms  p95 {p95:6.1f} ms  max {max(took):6.1f} ms  {per_page}")
    print(f"{'all':17} p50 {np.percentile(everything, 50):6.1f} ms  p95 {np.percentile(everything, 95):6.1f} ms")


async def used(store: RedisStore, pattern: str) -> int:
    """Bytes of Redis' memory below a pattern."""
    total = 0
    async for key in store.client.scan_iter(match=pattern, count=5000):
        total += int(await store.client.memory_usage(key, samples=20) or 0)  # type: ignore[no-untyped-call]
    return total


async def run(args: argparse.Namespace) -> None:
    """Fill, measure, tell."""
    words = (recordings.model("en-demo").path / "graph" / "words.txt").read_text().split()[::2]
    speaker = Speaker([word for word in words if word.isalpha()])
    with tempfile.TemporaryDirectory(prefix="search-") as directory:
        async with PrivateRedis(Path(directory)) as redis, await open_store(redis.url, prefix="s", ttl_s=0) as store:
            before = time.perf_counter()
            await fill(store, speaker, finals=args.finals, per_call=args.per_call)
            print(f"{args.finals} finals in {args.finals // args.per_call} calls: {time.perf_counter() - before:.0f} s")
            index, calls = await used(store, "s:{s:search}*"), await used(store, "s:{CA*")
            print(f"index {index / args.finals:.0f} bytes a final, the calls themselves {calls / args.finals:.0f}")
            await measure(store, speaker, searches=args.searches, limit=args.limit)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finals", type=int, default=100_000)
    parser.add_argument("--per-call", type=int, default=25)
    parser.add_argument("--searches", type=int, default=200, help="of each kind")
    parser.add_argument("--limit", type=int, default=20, help="calls a page")
    recordings.heading()
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
