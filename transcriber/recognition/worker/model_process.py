"""The process that holds one model: loads it once, and forks workers that share its memory.

`python -m transcriber.recognition.worker.model_process CONTROL_FD PARENT_PID`, started by `supervisor.model_process`.
It has one thread, so that forking is safe, and never decodes once it has forked: what strangers say reaches workers
only. It ends when the server closes its control socket; with PARENT_PID (0: none) also when that process dies.
"""

import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import msgspec

from transcriber.catalog.model_folder import ModelFolder
from transcriber.errors import ModelError
from transcriber.observability import logs
from transcriber.recognition.ports import Engine
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.scripted_engine import ScriptedEngine
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.recognition.warm_up_speech import unheard_speech, warm_speech
from transcriber.recognition.worker.decoding_loop import DecodingLoop
from transcriber.recognition.worker.protocol import (
    Done,
    EndWorker,
    Failed,
    Fault,
    FindUnknown,
    Forked,
    ForkWorker,
    FrameReader,
    Load,
    Loaded,
    ModelSource,
    Question,
    Reply,
    ScriptedModel,
    Unknown,
    VoskModel,
    frame,
)
from transcriber.runtime import sandbox
from transcriber.runtime.sandbox import Sandbox

log = logging.getLogger(__name__)
READ_BYTES = 1 << 16
GONE_WITHIN_S = 0.2
"""A worker whose socket is closed exits on its own within that; then it is ended."""
KILLED_WITHIN_S = 2.0
WORKER_NAME = "decoder"
MAX_STATUSES = 1024


class ModelProcess:
    """Answers the server's questions, one at a time, until its end of the control socket is closed."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._encoder = msgspec.msgpack.Encoder()
        self._pool: RecognizerPool | None = None
        self._faults: Sequence[tuple[Fault, bytes]] = ()
        self._pid = os.getpid()
        self._growth_bytes = 0
        self._workers: set[int] = set()
        self._statuses: dict[int, int] = {}
        """How workers ended, by pid."""

    def run(self) -> None:
        """Until the control socket is closed."""
        frames, decoder = FrameReader(), msgspec.msgpack.Decoder(Question)
        while True:
            data, sent, _, _ = socket.recv_fds(self._control, READ_BYTES, 1)
            if not data:
                return
            for message in frames.push(data):
                reply = self._reply(decoder.decode(message), sent)
                self._control.sendall(frame(self._encoder, reply))

    def _reply(self, question: Question, sent: list[int]) -> Reply:
        match question:
            case Load():
                return self._load(question)
            case ForkWorker():
                return self._fork(question.replaces, sent)
            case FindUnknown():
                return Unknown(self._loaded_pool.engine.unknown(question.words))
            case EndWorker():
                if question.pid in self._workers:
                    os.kill(question.pid, signal.SIGKILL)
                return Done()

    @property
    def _loaded_pool(self) -> RecognizerPool:
        assert self._pool is not None  # noqa: S101 - the server's first question is to load
        return self._pool

    def _load(self, question: Load) -> Reply:
        logs.set_up(question.log_level, question.log_format)
        try:
            engine = engine_of(question.source)
            pool = RecognizerPool(engine, keep=question.keep)
            pool.warm(question.warm, warm_speech())
            cost = pool.cost(unheard_speech())
        except (ModelError, OSError) as error:
            return Failed(str(error))
        self._pool = pool
        if isinstance(question.source, ScriptedModel):
            self._faults = question.source.faults
        gc.collect()
        self._growth_bytes = question.growth_bytes
        gc.freeze()  # a collection writes into what it looks at, and what is written to is shared no more
        given_up = self._try_sandbox()
        signal.signal(signal.SIGCHLD, self._reap)
        dynamic = engine.dynamic if isinstance(engine, VoskEngine) else False
        return Loaded(engine.model, engine.language, engine.takes_grammar, dynamic, cost, given_up)

    def _fork(self, replaces: int, sent: list[int]) -> Reply:
        status = self._status_of(replaces) if replaces else None
        with socket.socket(fileno=sent[0]) as connection:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # until the pid is noted
            try:
                pid = os.fork()
                if pid == 0:
                    self._become_worker(connection)
                self._workers.add(pid)
            except OSError as error:
                return Failed(f"no worker can be forked: {error.strerror or error}")
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        return Forked(pid, status)

    def _become_worker(self, connection: socket.socket) -> NoReturn:
        status = 1
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            self._enter_sandbox(connection.fileno())
            DecodingLoop(connection, self._loaded_pool, faults=self._faults).run()
            status = 0
        except ConnectionError:
            status = 0  # the server has gone
        except BaseException:
            log.exception("a recognition worker failed")
        finally:
            os._exit(status)

    def _enter_sandbox(self, connection: int) -> Sandbox:
        """In a child. It closes the control socket, too."""
        return sandbox.enter(
            parent_pid=self._pid, keep=(connection,), growth_bytes=self._growth_bytes, name=WORKER_NAME
        )

    def _try_sandbox(self) -> str:
        """What workers give up on this machine, in words."""
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            os.write(writer, str(self._enter_sandbox(writer)).encode())
            os._exit(0)
        os.close(writer)
        with open(reader, "rb") as file:
            said = file.read().decode()
        os.waitpid(pid, 0)
        return said or "nothing: the attempt ended the process"

    def _status_of(self, pid: int) -> int | None:
        """How a worker ended whose socket is closed; it is ended if it has not by itself."""
        for within_s in (GONE_WITHIN_S, KILLED_WITHIN_S):
            end_at = time.monotonic() + within_s
            while pid in self._workers and time.monotonic() < end_at:
                time.sleep(0.002)
            if pid in self._workers:
                os.kill(pid, signal.SIGKILL)
        return self._statuses.pop(pid, None)

    def _reap(self, signal_number: int, frame: FrameType | None) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._workers.discard(pid)
            self._statuses[pid] = os.waitstatus_to_exitcode(status)
            while len(self._statuses) > MAX_STATUSES:
                del self._statuses[next(iter(self._statuses))]


def engine_of(source: ModelSource) -> Engine:
    """Load it. Raises ModelError."""
    match source:
        case ScriptedModel():
            return ScriptedEngine(source.script, create_s=source.create_s)
        case VoskModel():
            folder = ModelFolder(source.name, Path(source.path), source.language, source.band)
            return VoskEngine(folder, dynamic=source.dynamic)


def main() -> None:
    """Entry point."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if parent_pid := int(sys.argv[2]):
        sandbox.end_with(parent_pid)
    with suppress(ConnectionError):  # the server has gone, or gave up waiting
        ModelProcess(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
