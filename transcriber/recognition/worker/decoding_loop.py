"""What a worker does: it decodes the turns of its tracks, one after another, as the server sends them. Blocks."""

import logging
import os
import signal
import socket
import time
from collections.abc import Sequence

import msgspec

from transcriber.audio.chunk import AudioChunk
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.results import RecognitionResults
from transcriber.recognition.track_decoder import TrackDecoder
from transcriber.recognition.worker.protocol import (
    Answer,
    CloseTrack,
    Fault,
    FrameReader,
    OpenTrack,
    Request,
    Turn,
    frame,
)

log = logging.getLogger(__name__)
READ_BYTES = 1 << 18


class DecodingLoop:
    """The tracks of one worker. An answer is written before the next turn begins: the first one that lacks its answer
    when a worker dies is the one it died of.

    `faults`: what happens on which mu-law, for tests; see `ScriptedModel`.
    """

    def __init__(
        self, connection: socket.socket, pool: RecognizerPool, *, faults: Sequence[tuple[Fault, bytes]] = ()
    ) -> None:
        self._connection = connection
        self._pool = pool
        self._faults = faults
        self._tracks: dict[int, TrackDecoder] = {}
        self._opened: dict[int, OpenTrack] = {}
        """Those that had no turn yet."""
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Request)

    def run(self) -> None:
        """Until the server closes the connection."""
        frames = FrameReader()
        while data := self._connection.recv(READ_BYTES):
            for message in frames.push(data):
                self._take(self._decoder.decode(message))

    def _take(self, request: Request) -> None:
        match request:
            case Turn():
                self._connection.sendall(frame(self._encoder, self._answer(request)))
            case OpenTrack():
                self._opened[request.track] = request
            case CloseTrack():
                self._forget(request.track)

    def _answer(self, turn: Turn) -> Answer:
        began_at, before_s = time.monotonic(), time.process_time()
        chunks = [AudioChunk("", payload, start_sample) for start_sample, payload in turn.audio]
        results: RecognitionResults = ()
        checkpoint, error, due_samples, utterance_open = None, "", 0, False
        try:
            decoder = self._decoder_of(turn.track)
            for fault, marker in self._faults:
                if any(marker in payload for _, payload in turn.audio):
                    _do(fault)
            results = decoder.feed(
                chunks, last=turn.last, end_utterance=turn.end_utterance, skip_lattice=turn.skip_lattice
            )
            checkpoint = None if turn.last else decoder.checkpoint()
            due_samples, utterance_open = decoder.due_samples, decoder.utterance_open
        except Exception as problem:  # a worker outlives a track; the session learns of it
            if _tells_of_the_worker(problem):
                raise
            log.exception("recognition failed")
            error = f"{type(problem).__name__}: {problem}"
        if turn.last or error:
            self._forget(turn.track)
        return Answer(
            track=turn.track,
            results=list(results),
            utterance_open=utterance_open,
            due_samples=due_samples,
            began_at=began_at,
            cpu_s=time.process_time() - before_s,
            idle=self._pool.idle,
            lent=self._pool.lent,
            checkpoint=checkpoint,
            error=error,
        )

    def _decoder_of(self, track: int) -> TrackDecoder:
        """Made for its first turn. Raises ValueError if its checkpoint is none."""
        if (opened := self._opened.pop(track, None)) is not None:
            self._tracks[track] = TrackDecoder(self._pool, opened.options, opened.checkpoint)
        return self._tracks[track]

    def _forget(self, track: int) -> None:
        self._opened.pop(track, None)
        if (decoder := self._tracks.pop(track, None)) is not None:
            decoder.give_up()


def _tells_of_the_worker(problem: Exception) -> bool:
    """Whether its memory is used up or Vosk failed: its tracks go on in a new worker, from their checkpoints.

    Vosk's wrapper raises plain exceptions for whatever the library has thrown.
    """
    return isinstance(problem, MemoryError) or type(problem) is Exception


def _do(fault: Fault) -> None:
    if fault == "abort":
        os.abort()
    if fault == "hang":
        signal.pause()
    if fault == "memory":
        raise MemoryError
    raise RuntimeError("a fault that was asked for")
