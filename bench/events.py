"""Events to JSON and back, beside the standard library's json on the same data: `python -m bench.events`.

Both take turns on the same events, once in each round; the figure is the median of the rounds' ratios.
"""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from transcriber.events.schema import Event, Final, Partial, Word, json_around_seq, to_json
from transcriber.outbox.stream_writes import EventAppended, line, read

ROUNDS, TIMES = 15, 2_000
WORDS = 20
SAID = ("number", "naïve", "고객", '"quoted"')
HEAD: Mapping[str, Any] = {
    "call_sid": "CA" + "0" * 32,
    "stream_sid": "MZ" + "0" * 32,
    "track": "inbound",
    "speaker": "caller",
    "utterance": 12,
    "start_ms": 61_200,
    "end_ms": 66_480,
    "language": "en",
    "model": "en-demo",
    "at": "2026-11-23T05:20:00.123Z",
}


def seconds(doing: Callable[[], object]) -> float:
    """CPU time of TIMES calls."""
    began = time.process_time()
    for _ in range(TIMES):
        doing()
    return time.process_time() - began


def fields(data: Event | Word) -> dict[str, Any]:
    """For json: one level deep."""
    return {name: getattr(data, name) for name in data.__struct_fields__}


def plain(data: Mapping[str, Any]) -> str:
    """By the standard library."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=fields)


def compare(what: str, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
    """One line of the table."""
    times = [(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)]
    ours_us = statistics.median(mine for mine, _ in times) / TIMES * 1e6
    ratio = statistics.median(other / mine for mine, other in times)
    print(f"{what:28} {ours_us:7.1f} µs, {ratio:5.1f} times as fast as json")


def main() -> None:
    """Print the table."""
    said = [SAID[at % len(SAID)] for at in range(WORDS)]
    partial = Partial(**HEAD, revision=7, text=" ".join(said), stable=12)
    words = tuple(Word(word, 61_200 + at, 61_400 + at, 0.987) for at, word in enumerate(said))
    final = Final(**HEAD, text=" ".join(said), confidence=0.987, words=words)
    record = EventAppended(31, 1_795_411_200_123, final)
    text = line(record)

    def plain_line() -> bytes:
        return plain(
            {"number": 31, "noted_ms": record.noted_ms, "events": [{"type": "final", **fields(final)}]}
        ).encode()

    compare("partial to JSON", lambda: to_json(partial), lambda: plain({"v": 1, "type": "partial", **fields(partial)}))
    compare(f"final of {WORDS} words to JSON", lambda: json_around_seq(final), lambda: plain(fields(final)))
    compare("the same to an outbox line", lambda: line(record), plain_line)
    compare("the same from one", lambda: read(text), lambda: json.loads(text))


if __name__ == "__main__":
    main()
