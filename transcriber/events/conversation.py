"""The finals of a call in the order of time, as the JSON they were stored as. Pure."""

import json
from bisect import bisect
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import msgspec

from transcriber.events.schema import parse


class _SortFields(msgspec.Struct, gc=False):
    """What decides whether and where a final stands; of any type, because other versions and programs may write."""

    type: Any = None
    track: Any = None
    seq: Any = None
    start_ms: Any = None


_decoder = msgspec.json.Decoder(_SortFields)


class Conversation:
    """The finals of all tracks, or of one, by start time, then by number.

    Only their text is held and each is parsed when it is asked for: parsed, a long call is a hundred thousand
    objects, which the collector looks through and which take long to free.
    """

    def __init__(self, *, track: str | None = None) -> None:
        self._track = track
        self._positions: list[tuple[int, int]] = []
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        """An event as it was stored. What is no final of the track is passed over."""
        if '"final"' not in text:
            return
        try:
            fields = _decoder.decode(text)
        except (msgspec.DecodeError, RecursionError):  # JSON to Python, or none at all
            event = parse(text)
            text = json.dumps(event)
            fields = _SortFields(event.get("type"), event.get("track"), event.get("seq"), event.get("start_ms"))
        if fields.type == "final" and self._track in (None, fields.track):
            position = (whole(fields.start_ms), whole(fields.seq))
            # Numbers follow the ends of utterances, so most finals come in order.
            in_order = not self._positions or self._positions[-1] <= position
            index = len(self._positions) if in_order else bisect(self._positions, position)
            self._positions.insert(index, position)
            self._texts.insert(index, text)

    def texts(self) -> Iterator[str]:
        """The finals' JSON."""
        return iter(self._texts)

    def finals(self) -> Iterator[Mapping[str, Any]]:
        """The finals, each parsed when its turn comes."""
        return map(parse, self._texts)


def whole(value: object, default: int = 0) -> int:
    """A number of an event as an integer; `default` for what is none."""
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and isfinite(value) else default
