"""What a stream is called in the store: by its sid, or by another name where the sid is another server's stream.

No transcript is dropped because a sid came twice: its words are kept beside those of the other stream. Pure.
"""

import dataclasses
from typing import TypeVar

from msgspec.structs import replace

from transcriber.events.schema import CallEnded, CallStarted, Event, StreamError
from transcriber.outbox.stream_writes import StreamOpened

E = TypeVar("E", bound=Event)


def header_as(header: StreamOpened, stream_sid: str) -> StreamOpened:
    """The beginning of the same stream by that name."""
    return dataclasses.replace(header, stream=replace(header.stream, stream_sid=stream_sid))


def event_as(event: E, stream_sid: str) -> E:
    """The same event as one of the stream of that name; events of calls name no stream."""
    if isinstance(event, CallStarted | CallEnded) or getattr(event, "stream_sid", stream_sid) == stream_sid:
        return event
    return replace(event, stream_sid=stream_sid)  # all others have one


def duplicate_error(call_sid: str, stream_sid: str, *, at: str) -> StreamError:
    """The stream.error event about its other name. `at`: ISO 8601."""
    message = "another server has a stream of this sid: this one goes on by another name"
    return StreamError(call_sid=call_sid, stream_sid=stream_sid, code="duplicate_stream", message=message, at=at)
