"""What comes of a stream's messages besides its start and its audio. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AudioGap:
    """Audio of a track is missing between two moments of the stream's clock."""

    track: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class DtmfReceived:
    """A key was pressed."""

    track: str
    digit: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class StreamFault:
    """Something was wrong with the stream and passed over: a code for counting and a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class StopReceived:
    """The sender said that the stream is over."""


@dataclass(frozen=True, slots=True)
class StreamRefused:
    """The stream cannot go on: a WebSocket close code and its reason."""

    close_code: int
    reason: str
