"""Twilio Media Streams on the wire: one text becomes one frozen message. Never raises. Pure.

Counters come as strings or numbers, keys in any order, unknown keys are passed over, events may be unknown. Nearly all
messages are good media messages: these are parsed in one pass by a typed decoder; whatever it refuses is parsed again
leniently.
"""

import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Literal

import msgspec

from transcriber.audio.chunk import TRACKS
from transcriber.telephony.outcomes import StreamFault

SID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""What we take as an id of a call or stream, or as the name of a stream; SID_FORM says it to people."""
SID_FORM = "1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit"
Counter = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
"""A counter, sent as a string or a number."""
MAX_PARAMETERS = 99
"""What Twilio's REST API takes. Of more the first are kept, and a ticket in any case."""
MAX_STREAM_MS = 4 * 24 * 3600 * 1000

_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]")
"""Controls, ends of lines, and what puts the rest of a line in another order."""
MAX_DIGITS = 32
"""Longer whole numbers mean nothing here, and Python refuses to read those of some thousand digits."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The socket's first message; carries nothing we need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What the stream is. `tracks` are of TRACKS, `parameters` the customParameters, `faults` what was passed over."""

    sequence: int | None
    stream_sid: str
    call_sid: str
    account_sid: str
    tracks: tuple[str, ...]
    encoding: str
    sample_rate: int
    channels: int
    parameters: Mapping[str, str]
    faults: tuple[StreamFault, ...] = ()


class Media(msgspec.Struct, frozen=True, gc=False):
    """One frame of one track: raw mu-law, any length. `timestamp_ms` counts from the stream's start.

    Like all that is made for every frame a Struct: a frozen dataclass takes five times as long to make.
    """

    sequence: int | None
    track: str
    timestamp_ms: int | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class Dtmf:
    """A key pressed by the caller."""

    sequence: int | None
    track: str
    digit: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Echo of a mark; we send none, so it is only counted."""

    sequence: int | None


@dataclass(frozen=True, slots=True)
class Stop:
    """The stream ended."""

    sequence: int | None


Message = Connected | Start | Media | Dtmf | Mark | Stop | StreamFault


class Frame(msgspec.Struct, gc=False):
    """The `media` object of a message as Twilio writes it; msgspec decodes the base64, strictly."""

    payload: bytes
    timestamp: Counter
    track: str = "inbound"


class FrameMessage(msgspec.Struct, gc=False):
    """A good media message, as it came: the track may have its suffix, and the timestamp may be nonsense."""

    event: Literal["media"]  # as a tag it might be absent
    media: Frame
    sequence: Counter = msgspec.field(name="sequenceNumber")


parse_frame = msgspec.json.Decoder(FrameMessage, strict=False).decode
"""A good media message. Raises one of NOT_A_FRAME for any other text."""
NOT_A_FRAME = (msgspec.MsgspecError, UnicodeEncodeError, RecursionError)


def parse_message(text: str) -> Message:
    """The message in one WebSocket text; whatever is wrong with it comes back as a `StreamFault`."""
    try:
        return media_of(parse_frame(text))
    except NOT_A_FRAME:
        return parse_leniently(text)


def media_of(message: FrameMessage) -> Media:
    """What it means."""
    frame = message.media
    return _media_message(message.sequence, frame.track, frame.timestamp, frame.payload)


def parse_leniently(text: str) -> Message:
    """The same for any message, some ten times as slow: what is odd and still usable is used."""
    try:
        data = json.loads(text, parse_int=_bounded_int)
    except (ValueError, RecursionError):
        return StreamFault("not_json", "a message is not JSON")
    if not isinstance(data, dict):
        return StreamFault("not_object", "a message is JSON but not an object")
    event = data.get("event")
    if event == "media":
        return _parse_media(data)
    sequence = _counter(data.get("sequenceNumber"))
    match event:
        case "connected":
            return Connected()
        case "start":
            return _parse_start(data, sequence)
        case "dtmf":
            return _parse_dtmf(data, sequence)
        case "mark":
            return Mark(sequence)
        case "stop":
            return Stop(sequence)
        case str():
            return StreamFault("unknown_event", f"event {clean(event, 40)!r} is unknown")
    return StreamFault("no_event", "a message has no event")


def clean(text: str, longest: int = 500) -> str:
    """Text fit for JSON, logs and keys of ours: valid UTF-8, nothing that breaks a line or turns it round, bounded.

    What scripts and emoji need stays as it was sent: joiners, marks of direction, spaces of any width.
    """
    return _UNFIT.sub(" ", text[:longest].encode("utf-8", "replace").decode())


def _parse_media(data: dict[str, Any]) -> Message:
    media = data.get("media")
    if not isinstance(media, dict):
        return StreamFault("bad_media", "a media message has no media object")
    track, payload = media.get("track", "inbound"), media.get("payload")
    if not isinstance(track, str) or not isinstance(payload, str):
        return StreamFault("bad_media", "a media message has no usable track or payload")
    try:
        audio = binascii.a2b_base64(payload, strict_mode=True) if payload else b""
    except ValueError:
        return StreamFault("bad_base64", "a media payload is not base64")
    return _media_message(_counter(data.get("sequenceNumber")), track, _counter(media.get("timestamp")), audio)


def _media_message(sequence: int | None, track: str, timestamp_ms: int | None, audio: bytes) -> Media:
    if timestamp_ms is not None and timestamp_ms > MAX_STREAM_MS:
        timestamp_ms = None
    return Media(sequence, track.removesuffix("_track"), timestamp_ms, audio)


def _parse_start(data: dict[str, Any], sequence: int | None) -> Message:
    start = data.get("start")
    if not isinstance(start, dict):
        return StreamFault("bad_start", "the start message has no start object")
    stream_sid = start.get("streamSid") or data.get("streamSid")
    call_sid = start.get("callSid")
    for name, sid in (("streamSid", stream_sid), ("callSid", call_sid)):
        if not isinstance(sid, str) or not SID.fullmatch(sid):
            return StreamFault("bad_start", f"the start message has no usable {name}")
    form = start.get("mediaFormat")
    form = form if isinstance(form, dict) else {}
    tracks = start.get("tracks") or ["inbound"]
    names = tuple(t.removesuffix("_track") for t in tracks if isinstance(t, str)) if isinstance(tracks, list) else ()
    if not names or len(names) != len(set(names)) or not set(names) <= set(TRACKS):
        return StreamFault("bad_start", "the start message announces no usable tracks")
    parameters, faults = _parameters(start.get("customParameters"))
    return Start(
        sequence=sequence,
        stream_sid=str(stream_sid),
        call_sid=str(call_sid),
        account_sid=clean(_string(start.get("accountSid")), 64),
        tracks=names,
        encoding=clean(_string(form.get("encoding"), "audio/x-mulaw"), 64),
        sample_rate=_counter(form.get("sampleRate", 8000)) or 0,
        channels=_counter(form.get("channels", 1)) or 0,
        parameters=parameters,
        faults=faults,
    )


def _parse_dtmf(data: dict[str, Any], sequence: int | None) -> Message:
    dtmf = data.get("dtmf")
    digit = dtmf.get("digit") if isinstance(dtmf, dict) else None
    if not isinstance(dtmf, dict) or not isinstance(digit, str) or not re.fullmatch(r"[0-9A-Da-d*#]", digit):
        return StreamFault("bad_dtmf", "a dtmf message has no usable digit")
    track = _string(dtmf.get("track"), "inbound").removesuffix("_track")
    return Dtmf(sequence, track if track in TRACKS else "inbound", digit.upper())


def _parameters(raw: object) -> tuple[dict[str, str], tuple[StreamFault, ...]]:
    """Custom parameters, cleaned, and what is said of those that are ignored. Twilio allows 500 characters each."""
    given = raw.items() if isinstance(raw, dict) else ()
    cleaned = {clean(name, 128): clean(value) for name, value in given if isinstance(value, str)}
    kept = dict(islice(cleaned.items(), MAX_PARAMETERS)) | {n: v for n, v in cleaned.items() if n == "ticket"}
    if len(kept) == len(cleaned):
        return kept, ()
    why = f"{len(cleaned)} parameters came with the start message, of which the first {MAX_PARAMETERS} are kept"
    return kept, (StreamFault("too_many_parameters", why),)


def _counter(value: object) -> int | None:
    """A counter sent as a string or a number; None when absent or nonsense."""
    try:
        return msgspec.convert(value, Counter, strict=False)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return None


def _bounded_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_DIGITS else None


def _string(value: object, default: str = "") -> str:
    return value if isinstance(value, str) else default
