"""A process that holds a model, as the server sees it: started, asked for workers, started anew when it has died."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from transcriber.errors import ModelError
from transcriber.recognition.options import is_word
from transcriber.recognition.supervisor.environment import environment
from transcriber.recognition.worker.protocol import (
    Done,
    EndWorker,
    Failed,
    FindUnknown,
    Forked,
    ForkWorker,
    FrameReader,
    Load,
    Loaded,
    ModelSource,
    Question,
    Reply,
    Unknown,
    frame,
)
from transcriber.runtime.cancellation import cancel
from transcriber.runtime.machine import memory_bytes

log = logging.getLogger(__name__)

PROGRAM = "transcriber.recognition.worker.model_process"
READ_BYTES = 1 << 16
LOAD_WITHIN_S = 600.0
ANSWER_WITHIN_S = 5.0
"""A model process that has loaded does next to nothing: one that takes longer is stuck, and is ended."""
EXIT_WITHIN_S = 2.0

Expected = TypeVar("Expected", bound=Reply)
Outcome = TypeVar("Outcome")


class ModelProcess:
    """Belongs to nobody's event loop: whoever asks something does so on the loop that is running.

    `warm`: warm recognizers that every worker begins with; `keep`: idle ones that it keeps at most.
    """

    def __init__(
        self, source: ModelSource, *, warm: int = 2, keep: int = 8, log_level: str = "INFO", log_format: str = "text"
    ) -> None:
        self.source = source
        self.info: Loaded | None = None
        """What was loaded, once it is."""
        self._question = Load(source, warm, keep, _growth_bytes(), log_level, log_format)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._frames = FrameReader()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._asked: set[asyncio.Task[Any]] = set()
        """One that runs, and those that wait for their turn."""
        self._closed = False
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Reply)

    @property
    def pid(self) -> int:
        """Of the process; 0 while there is none."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> Loaded:
        """Load the model in a new process. Raises ModelError."""
        return await self._alone(self._start)

    async def fork_worker(self, *, replaces: int = 0) -> tuple[socket.socket, Forked]:
        """A new worker, and our end of its socket. Loads the model again if its process has died. Raises ModelError."""
        return await self._alone(lambda: self._fork_worker(replaces))

    async def unknown(self, words: Sequence[str]) -> tuple[str, ...]:
        """Those of the words that the model has never heard of, in order. Raises ModelError."""
        written = tuple(word for word in words if is_word(word))  # no other reaches native code, or is text at all
        missing = set(await self._alone(lambda: self._unknown(written)) if written else ())
        return tuple(word for word in words if word in missing or word not in written)

    async def end_worker(self, pid: int) -> None:
        """End a worker that does not answer. Raises ModelError."""
        await self._alone(lambda: self._ask(EndWorker(pid), Done))

    async def close(self) -> None:
        """End the process, and with it its workers, for good; what is being asked fails."""
        self._closed = True
        await cancel(*(task for task in self._asked if not task.done()))
        process, self._process = self._process, None
        if self._control is not None:
            self._control.close()
            self._control = None
        if process is not None:
            await asyncio.to_thread(_end, process)

    async def _alone(self, ask: Callable[[], Coroutine[Any, Any, Outcome]]) -> Outcome:
        """One question at a time, each to its answer: who asked may be gone before it comes."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a lock belongs to one loop, and tests have many
            self._loop, self._lock, self._asked = loop, asyncio.Lock(), set()

        async def in_turn() -> Outcome:
            async with self._lock:
                return await ask()

        task = asyncio.create_task(in_turn(), name="asking a model process")
        self._asked.add(task)
        task.add_done_callback(self._answered)
        await asyncio.wait((task,))
        if task.cancelled():
            raise ModelError(f"{self._name} is closed")
        return task.result()

    def _answered(self, task: asyncio.Task[Any]) -> None:
        self._asked.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved: who asked may be gone

    async def _ensure_running(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self._forget()
            await self._start()

    async def _unknown(self, words: tuple[str, ...]) -> tuple[str, ...]:
        await self._ensure_running()
        return (await self._ask(FindUnknown(words), Unknown)).words

    async def _fork_worker(self, replaces: int) -> tuple[socket.socket, Forked]:
        await self._ensure_running()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                return ours, await self._ask(ForkWorker(replaces), Forked, send=theirs)
        except BaseException:
            ours.close()
            raise

    async def _start(self) -> Loaded:
        if self._closed:
            raise ModelError(f"{self._name} is closed")
        ours, theirs = socket.socketpair()
        with theirs:
            parent = os.getpid() if threading.current_thread() is threading.main_thread() else 0
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - this program; it takes 1 ms
                [sys.executable, "-P", "-m", PROGRAM, str(theirs.fileno()), str(parent)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment(),
                start_new_session=True,  # Ctrl-C is for the server, which lets calls end
            )
        ours.setblocking(False)
        self._control, self._frames = ours, FrameReader()
        self.info = await self._ask(self._question, Loaded, within_s=LOAD_WITHIN_S)
        return self.info

    async def _ask(
        self,
        question: Question,
        expected: type[Expected],
        *,
        send: socket.socket | None = None,
        within_s: float = ANSWER_WITHIN_S,
    ) -> Expected:
        """The answer. When there is none the process is ended. Raises ModelError."""
        if self._control is None:
            raise ModelError("the process of the model has ended")
        try:
            async with asyncio.timeout(within_s):
                reply = await self._exchange(self._control, frame(self._encoder, question), send)
        except (OSError, ValueError, EOFError, msgspec.DecodeError) as error:
            raise ModelError(f"{self._name} {await self._ending()}") from error
        except TimeoutError:
            self._forget()
            raise ModelError(f"{self._name} does not answer within {within_s:.0f} s") from None
        except asyncio.CancelledError:
            self._forget()  # half a conversation: what comes next would be taken for another answer
            raise
        if isinstance(reply, Failed):
            raise ModelError(reply.reason)
        if not isinstance(reply, expected):
            self._forget()
            raise ModelError(f"{self._name} answers {type(reply).__name__} to {type(question).__name__}")
        return reply

    async def _exchange(self, control: socket.socket, data: bytes, send: socket.socket | None) -> Reply:
        loop = asyncio.get_running_loop()
        if send is None:
            await loop.sock_sendall(control, data)
        else:
            socket.send_fds(control, [data], [send.fileno()])  # short, and nothing else waits in the socket
        while received := await loop.sock_recv(control, READ_BYTES):
            for message in self._frames.push(received):
                reply: Reply = self._decoder.decode(message)
                return reply
        raise EOFError

    @property
    def _name(self) -> str:
        name = getattr(self.source, "name", "the script")
        return f"the process of model {name}"

    async def _ending(self) -> str:
        """How the process ended. Ends it, should it not have."""
        process = self._process
        self._forget()
        if process is None:
            return "is gone"
        status = await asyncio.to_thread(process.wait)
        with suppress(ValueError):
            if status < 0:
                return f"crashed ({signal.Signals(-status).name})"
        return f"ended with status {status}"

    def _forget(self) -> None:
        """Give up a process that is of no use."""
        process, control = self._process, self._control
        self._process = self._control = None
        if control is not None:
            control.close()
        if process is not None and process.poll() is None:
            process.kill()
            threading.Thread(target=process.wait, daemon=True).start()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """It ends on its own, as its control socket is closed."""
    try:
        process.wait(EXIT_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _growth_bytes() -> int:
    """Far more than recognizers of any load take, and little enough that one worker cannot take the machine down."""
    return memory_bytes() // 2
