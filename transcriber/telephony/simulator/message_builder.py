"""What Twilio writes into the socket: ids, frames and the JSON of each message, typed as Twilio types it."""

import base64
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from transcriber.audio.chunk import SAMPLES_PER_MS, SILENCE
from transcriber.audio.wav import Recording

FRAME_MS = 20
FIRST_TIMESTAMP_MS = 132
"""Twilio's first timestamp is not 0: the socket opens somewhat after the stream (155 and 171 were seen)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallIds:
    """The sids of one stream of one call; random ones unless given."""

    account: str = field(default_factory=lambda: "AC" + secrets.token_hex(16))
    call: str = field(default_factory=lambda: "CA" + secrets.token_hex(16))
    stream: str = field(default_factory=lambda: "MZ" + secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Frame:
    """One track's audio between `at_ms` and `end_ms` of the recording, raw mu-law."""

    track: str
    at_ms: int
    payload: bytes

    @property
    def end_ms(self) -> int:
        """Where the frame ends in the recording."""
        return self.at_ms + len(self.payload) // SAMPLES_PER_MS


def frames(recording: Recording, *, tracks: Sequence[str] | None = None, frame_ms: int = FRAME_MS) -> Iterator[Frame]:
    """The recording cut into frames of `frame_ms`, the tracks taking turns; the last frame is filled with silence."""
    size = frame_ms * SAMPLES_PER_MS
    chosen = {name: recording.tracks[name] for name in (tracks or recording.tracks)}
    for start in range(0, max(map(len, chosen.values())), size):
        for track, audio in chosen.items():
            yield Frame(track, start // SAMPLES_PER_MS, audio[start : start + size].ljust(size, bytes([SILENCE])))


class MessageBuilder:
    """Writes one stream's messages in order, keeping its counters: one sequence over all, chunks per track."""

    def __init__(self, ids: CallIds, tracks: Sequence[str], *, parameters: Mapping[str, str] | None = None) -> None:
        self.ids = ids
        self.tracks = tuple(tracks)
        self._parameters = dict(parameters or {})
        self._sequence = 0
        self._chunks = dict.fromkeys(tracks, 0)
        self._stream = _dump(ids.stream)

    def connected(self) -> str:
        """The socket's first message; not counted."""
        return _dump({"event": "connected", "protocol": "Call", "version": "1.0.0"})

    def start(self) -> str:
        """The stream's first message."""
        return self._message(
            "start",
            {
                "accountSid": self.ids.account,
                "streamSid": self.ids.stream,
                "callSid": self.ids.call,
                "tracks": list(self.tracks),
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": self._parameters,
            },
        )

    def media(self, frame: Frame) -> str:
        """One frame of audio. Nearly everything a caller writes, so that it is put together by hand."""
        self._sequence += 1
        chunk = self._chunks[frame.track] = self._chunks.get(frame.track, 0) + 1
        timestamp, payload = FIRST_TIMESTAMP_MS + frame.at_ms, base64.b64encode(frame.payload).decode()
        return (
            f'{{"event":"media","sequenceNumber":"{self._sequence}","streamSid":{self._stream},"media":'
            f'{{"track":{_dump(frame.track)},"chunk":"{chunk}","timestamp":"{timestamp}","payload":"{payload}"}}}}'
        )

    def dtmf(self, digit: str) -> str:
        """A key pressed by the caller. Twilio writes this track's name with a suffix."""
        return self._message("dtmf", {"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> str:
        """The echo of a mark."""
        return self._message("mark", {"name": name})

    def stop(self) -> str:
        """The stream's last message."""
        return self._message("stop", {"accountSid": self.ids.account, "callSid": self.ids.call})

    def _message(self, event: str, body: Mapping[str, object]) -> str:
        self._sequence += 1
        return _dump({"event": event, "sequenceNumber": str(self._sequence), "streamSid": self.ids.stream, event: body})


def _dump(data: object) -> str:
    return json.dumps(data, separators=(",", ":"))
