"""Events of a call as plain lines: who said what and when. What a pipe gets, and a terminal without rich."""

from collections.abc import Mapping
from typing import Any

from transcriber.cli.terminal_text import clock_time, printable

ID_LENGTH = 8
Event = Mapping[str, Any]


def final_line(event: Event, *, ids: bool) -> str:
    """A finished utterance: time, speaker, text; with `ids` the call's short id comes first."""
    call = short_id(event) if ids else ""
    return f"{call}{clock_time(number(event, 'start_ms'))}  {speaker(event):<7}  {text(event, 'text')}"


def note(event: Event) -> str:
    """A sentence for the lifecycle events that people want to see; else empty."""
    match event.get("type"):
        case "dtmf":
            return f"{clock_time(number(event, 'start_ms'))}  key {text(event, 'digit')}"
        case "gap":
            missing_ms = number(event, "to_ms") - number(event, "from_ms")
            start = clock_time(number(event, "from_ms"))
            return f"{start}  {missing_ms} ms of audio missing ({text(event, 'track')})"
        case "stream.error":
            return f"stream error: {text(event, 'message')}"
        case "call.ended":
            return f"call ended ({text(event, 'reason')})"
    return ""


def short_id(event: Event) -> str:
    """The beginning of its call's id, and two spaces."""
    return f"{text(event, 'call_sid')[:ID_LENGTH]}  "


def speaker(event: Event) -> str:
    """Its label, else its track."""
    return text(event, "speaker") or text(event, "track")


def text(event: Event, name: str) -> str:
    """A field as printable text, empty where there is none."""
    return printable(str(event.get(name, "")))


def number(event: Event, name: str) -> int:
    """A field as a whole number, 0 where it is none."""
    value = event.get(name, 0)
    return int(value) if isinstance(value, int) else 0
