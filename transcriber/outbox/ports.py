"""Where a live stream's events go: what `calls` needs of the outbox. Pure."""

from collections.abc import Callable
from typing import Literal, Protocol

from transcriber.audio.chunk import AudioChunk
from transcriber.events.schema import CallEnded, CallStarted, Final, Partial, Persisted, StreamStarted, StreamStopped


class EventSink(Protocol):
    """Takes what one stream publishes, whatever the store does. Only `close` waits. Times are the stream's own."""

    def send(self, event: Persisted) -> None:
        """An event to be kept and published, in this order, once. Over the bound it is dropped, counted and logged."""

    def send_partial(self, partial: Partial) -> None:
        """To be published only: replaces what waits of the same track, and a Final of the track takes it back."""

    def record_audio(self, chunk: AudioChunk) -> None:
        """Audio that is going to be recognised. For a journal, if any."""

    def set_audio_aside(self) -> None:
        """It could not be recognised to its end: keep it, if there is a journal, until the call is deleted or old."""

    async def close(self, stream: StreamStopped, call: CallEnded) -> None:
        """The end. Returns when all is written, or safe where a crash cannot take it and on its way."""


Refusal = Literal["duplicate", "deleted"]
"""Why a stream that was admitted is refused after all: it is live on another server, or its call was deleted."""
OnRefused = Callable[[Refusal], None]
OnFinal = Callable[[Final], None]
"""Is told of each final that the store has confirmed, with the times of the stream."""


class Outbox(Protocol):
    """Where a session's events go."""

    def open_stream(
        self,
        call: CallStarted,
        stream: StreamStarted,
        *,
        at_ms: int,
        on_refused: OnRefused | None = None,
        on_final: OnFinal | None = None,
    ) -> EventSink:
        """A new stream. `at_ms`: epoch milliseconds of its zero. `on_refused`: called if it may not be one.

        Nothing is kept of it then.
        """
