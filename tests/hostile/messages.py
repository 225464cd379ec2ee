"""Malformed messages without end: every kind and field of the protocol, broken in every way we could think of.

Reproducible from a seed, and fast: hypothesis looks for small counterexamples in `tests/core`, this for rare ones.
"""

import base64
import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from transcriber.telephony.simulator.message_builder import CallIds, MessageBuilder

FRAME = base64.b64encode(b"\xff" * 160).decode()
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, -(2**64), 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", " ", "0", "-1", "1e9", "١٢", "null", "NaN", "inbound", "outbound", "inbound_track", "both_tracks", "=" * 9),
    *("\x00", "\x1b[2J", "\r\nX: y", "\ud800", "\udfff\ud800", "\u202e\u2066", "😀" * 70, "é" * 64, "x" * 5000),
    *(
        "*",
        "{}",
        "a:b",
        "../../etc/passwd",
        "%s%n%d",
        "{0.__class__}",
        "<script>",
        "'; DROP",
        "CA" + "1" * 32,
        "CA" * 40,
    ),
    *("////", "////\n", "a", "=", "AAAA=", "A" * 40_000, "9" * 17, "9" * 400, "audio/x-mulaw", "audio/opus"),
    *([], {}, [[]], [None], ["inbound"], ["inbound"] * 99, ["video"], {"a": {}}, {"track": "inbound"}, [{}] * 50),
)
TAILS = ("", "}", ",", "{}", "\x00", "\ufeff", "//", "null", "]" * 9)


def valid(number: int, ids: CallIds) -> list[Any]:
    """One message of every kind, as Twilio sends it."""
    messages = MessageBuilder(ids, ["inbound", "outbound"], parameters={"hints": "pizza, ramen", "endpoint_ms": "700"})
    start = json.loads(messages.start())
    media = {"track": "inbound", "chunk": str(number), "timestamp": str(20 * number), "payload": FRAME}
    kinds: dict[str, Any] = {
        "media": media,
        "dtmf": {"track": "inbound_track", "digit": "5"},
        "mark": {"name": "m"},
        "stop": {"accountSid": ids.account, "callSid": ids.call},
        "clear": {},
    }
    told = [
        {"event": kind, "sequenceNumber": str(number), "streamSid": ids.stream, kind: body}
        for kind, body in kinds.items()
    ]
    return [json.loads(messages.connected()), start, *told]


class Malice:
    """A stream of malformed texts. The same seed gives the same texts."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._ways: tuple[Callable[[Any], str], ...] = (
            *(self._broken_fields,) * 6,
            self._broken_text,
            self._nested,
            self._twice,
            self._noise,
        )

    def stream(self, messages: int) -> Iterator[str]:
        """What one sender sends: most begin well, so that the rest is heard; good audio comes in between."""
        chosen = self._random
        account, call, stream = (kind + chosen.randbytes(16).hex() for kind in ("AC", "CA", "MZ"))
        ids = CallIds(account=account, call=call, stream=stream)
        # What is no JSON ends a stream at once, so every other one sends none, and no good stop either.
        long = chosen.random() < 0.5
        if long or chosen.random() < 0.6:
            yield json.dumps(valid(1, ids)[1])
        for number in range(2, messages + 1):
            kinds = valid(number, ids)[: 5 if long else None]
            if chosen.random() < 0.1:
                yield json.dumps(kinds[2])
            elif long:
                yield self._broken_fields(chosen.choice(kinds))
            else:
                yield chosen.choice(self._ways)(chosen.choice(kinds))

    def _broken_fields(self, message: Any) -> str:
        for _ in range(self._random.choice((1, 1, 1, 2, 5))):
            self._break_one(message)
        return json.dumps(message, ensure_ascii=self._random.random() < 0.9)

    def _break_one(self, message: Any) -> None:
        """Take a way down by chance, then change, remove, add or rename what is there."""
        place = message
        while True:
            inner = [value for value in place.values() if isinstance(value, dict) and value]
            if not inner or self._random.random() < 0.4:
                break
            place = self._random.choice(inner)
        name = self._random.choice(list(place)) if place else "event"
        match self._random.randrange(5):
            case 0:
                place.pop(name, None)
            case 1:
                place[self._random.choice(("event", "media", "start", "track", "payload", "x" * 300))] = self._value()
            case 2:
                place[name.upper()] = place.pop(name, None)
            case _:
                place[name] = self._value()

    def _value(self) -> Any:
        return deepcopy(self._random.choice(VALUES))

    def _broken_text(self, message: Any) -> str:
        text = json.dumps(message)
        at = self._random.randrange(len(text))
        match self._random.randrange(4):
            case 0:
                return text[:at]
            case 1:
                return text[:at] + chr(self._random.randrange(0x110000)) + text[at + 1 :]
            case 2:
                return text[:at] + text[at : at + 40] * self._random.randrange(9) + text[at:]
        return text + self._random.choice(TAILS)

    def _nested(self, message: Any) -> str:
        depth = self._random.choice((10, 900, 5000, 30_000))
        opening, closing = self._random.choice((("[", "]"), ('{"event":', "}")))
        return opening * (depth // len(opening)) + json.dumps(message) + closing * (depth // len(opening))

    def _twice(self, message: Any) -> str:
        other = json.dumps(self._value(), ensure_ascii=True)
        name = self._random.choice(list(message))
        return json.dumps(message)[:-1] + f", {json.dumps(name)}: {other}}}"

    def _noise(self, _message: Any) -> str:
        size = self._random.choice((0, 1, 7, 300))
        return "".join(chr(self._random.randrange(1, 0x500)) for _ in range(size))
