"""What server, model process and workers tell each other: typed messages as msgpack, each behind its length. Pure.

Two conversations. On the control socket the server asks the model process, one question at a time (`Question`,
`Reply`). On a worker's socket it sends what tracks are to be decoded (`Request`) and gets an `Answer` for each `Turn`,
in the same order.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from transcriber.audio.chunk import Band
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.results import FinalResult, PartialResult

LENGTH_BYTES = 4
MAX_FRAME_BYTES = 1 << 20
"""Of a message. Many times what the longest turn or checkpoint takes."""

Fault = Literal["abort", "hang", "error", "memory"]


class VoskModel(msgspec.Struct, frozen=True, tag="vosk"):
    """A model folder that Vosk loads. `dynamic`: not its static graph, so that run-time grammars are possible."""

    name: str
    path: str
    language: str
    band: Band
    dynamic: bool = False


class ScriptedModel(msgspec.Struct, frozen=True, tag="scripted"):
    """No model: a script, see `ScriptedEngine`. For tests and for measuring everything but recognition.

    `faults`: what a worker does when it is fed a piece of mu-law: `abort`, `hang`, `memory` (it has no more left), or
    `error`, an exception.
    """

    script: tuple[str, ...] = ("one two three four",)
    create_s: float = 0.0
    faults: tuple[tuple[Fault, bytes], ...] = ()


ModelSource = VoskModel | ScriptedModel


class Load(msgspec.Struct, frozen=True, tag="load"):
    """The first question: load this, and warm so many recognizers for each worker to begin with."""

    source: ModelSource
    warm: int
    keep: int
    """Idle recognizers that a worker keeps at most."""
    growth_bytes: int = 1 << 30
    """Memory that a worker may take besides what it shares, at most."""
    log_level: str = "INFO"
    log_format: str = "text"


class ForkWorker(msgspec.Struct, frozen=True, tag="fork"):
    """A worker for the socket that comes with the question. `replaces`: the pid of one that has gone, or 0."""

    replaces: int = 0


class FindUnknown(msgspec.Struct, frozen=True, tag="unknown"):
    """Which of the words the model has never heard of."""

    words: tuple[str, ...]


class EndWorker(msgspec.Struct, frozen=True, tag="end"):
    """End a worker that does not answer, by SIGKILL."""

    pid: int


Question = Load | ForkWorker | FindUnknown | EndWorker


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The model is there. `speech_cost`: CPU seconds for a second of speech, by a warm recognizer in one go."""

    name: str
    language: str
    takes_grammar: bool
    dynamic: bool
    """Whether the graph is composed while decoding, so that this process's recognizers can be given a grammar."""
    speech_cost: float
    sandbox: str = ""
    """What its workers give up before they decode, in words."""


class Forked(msgspec.Struct, frozen=True, tag="forked"):
    """The new worker, and how the one that it replaces ended: its exit status, negative for a signal; None: unknown."""

    pid: int
    replaced_status: int | None = None


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """The words of `FindUnknown` that the model does not know, in order."""

    words: tuple[str, ...]


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It was done."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The question could not be answered, and why."""

    reason: str


Reply = Loaded | Forked | Unknown | Done | Failed


class OpenTrack(msgspec.Struct, frozen=True, tag=0, array_like=True):
    """A track to be decoded from its beginning, or from a checkpoint of another worker."""

    track: int
    options: RecognitionOptions
    checkpoint: bytes | None = None


class Turn(msgspec.Struct, frozen=True, tag=1, array_like=True, gc=False):
    """Audio of a track to be decoded in one go: pairs of a piece's first sample and its mu-law, in order."""

    track: int
    audio: list[tuple[int, bytes]]
    last: bool = False
    end_utterance: bool = False
    skip_lattice: bool = False


class CloseTrack(msgspec.Struct, frozen=True, tag=2, array_like=True):
    """Nobody wants more of the track. It has no answer."""

    track: int


Request = OpenTrack | Turn | CloseTrack


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What came of a turn. `began_at`: when it did, on the monotonic clock that all processes share."""

    track: int
    results: list[PartialResult | FinalResult]
    utterance_open: bool
    due_samples: int
    began_at: float
    cpu_s: float
    idle: int
    """Recognizers of this worker that wait …"""
    lent: int
    """… and that are in use."""
    checkpoint: bytes | None = None
    error: str = ""
    """Why the track cannot be decoded any further."""


class FrameReader:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def push(self, data: bytes) -> Iterator[bytes]:
        """The messages that are complete by now. Raises ValueError on one that is too long to be one."""
        self._bytes += data
        at = 0
        try:
            while len(self._bytes) - at >= LENGTH_BYTES:
                length = int.from_bytes(self._bytes[at : at + LENGTH_BYTES], "little")
                if length > MAX_FRAME_BYTES:
                    raise ValueError(f"a message of {length} bytes")
                end = at + LENGTH_BYTES + length
                if len(self._bytes) < end:
                    return
                message = bytes(self._bytes[at + LENGTH_BYTES : end])
                at = end
                yield message
        finally:
            del self._bytes[:at]


def frame(encoder: msgspec.msgpack.Encoder, message: Any) -> bytes:
    """The message as it goes over a socket."""
    buffer = bytearray(LENGTH_BYTES)
    encoder.encode_into(message, buffer, LENGTH_BYTES)
    buffer[:LENGTH_BYTES] = (len(buffer) - LENGTH_BYTES).to_bytes(LENGTH_BYTES, "little")
    return bytes(buffer)
