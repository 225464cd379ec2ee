"""One of a model's workers: it decodes the turns of its tracks, and when its process dies it goes on in another.

Whatever a worker dies of (an assertion in native code, memory, a signal, an endless loop), its tracks are opened again
in a new process from their checkpoints and hear again what was sent since then.
"""

import asyncio
import logging
import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from transcriber.audio.chunk import SAMPLE_RATE_HZ
from transcriber.errors import ModelError, RecognitionError
from transcriber.recognition.load_monitor import LoadMonitor
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.supervisor.track_queue import TrackQueue
from transcriber.recognition.supervisor.worker_connection import WorkerConnection
from transcriber.recognition.worker.protocol import Answer, CloseTrack
from transcriber.runtime.cancellation import cancel

log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 10.0
"""A worker that has turns and answers none for so long hangs. A turn is a second of audio at most."""
STOPPED_WITHIN_S = 1.0
"""One that does so because it was stopped (SIGSTOP, a debugger) is not waited for any longer."""
RETRY_S = 1.0
"""Between two tries to get a new process, when one cannot be had."""
DEATHS_BY_FAULT = 2
"""A track whose same audio so many workers crashed or hung on is recognised no further …"""
DEATHS_BY_OTHERS = 20
"""… or so many that somebody or the kernel ended (SIGKILL, SIGTERM): that need not be the audio's doing."""
ENDED_BY_OTHERS = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, 0, None}
OnDeath = Callable[[str], None]
"""Told how a worker died, in one word: the name of a signal, `hang`, `exit`, `unknown`."""


class Worker:
    """All methods belong to the event loop's thread."""

    def __init__(self, process: ModelProcess, load: LoadMonitor, on_death: OnDeath) -> None:
        self.load = load
        self.idle = self.lent = 0
        """Recognizers that wait, and that are in use."""
        self._process = process
        self._on_death = on_death
        self._tracks: dict[int, TrackQueue] = {}
        self._turns: deque[TrackQueue] = deque()
        """In flight, in order."""
        self._connection: WorkerConnection | None = None
        self._progress_at = 0.0
        """When the latest answer came, or when there was something to answer again."""
        self._hangs = False
        self._restart: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def pid(self) -> int:
        """Of its process; 0 while there is none."""
        return self._connection.pid if self._connection is not None else 0

    @property
    def tracks(self) -> int:
        """How many it has."""
        return len(self._tracks)

    @property
    def expected_cores(self) -> float:
        """What its tracks take, if they go on as before."""
        return sum(track.cost for track in self._tracks.values())

    async def start(self) -> None:
        """Get the first process. Raises ModelError."""
        await self._connect(0)

    def open(self, track: TrackQueue) -> None:
        """One more track."""
        self._tracks[track.number] = track
        if self._connection is not None:
            self._connection.send(track.reopen())

    def line_up(self, track: TrackQueue) -> None:
        """Send the track's next turn, which is decoded after those before it; or later, when there is a process."""
        if self._connection is None:
            return
        if not self._turns:
            self._progress_at = time.monotonic()
        self._turns.append(track)
        self._connection.send(track.next_turn())

    def close_track(self, track: TrackQueue) -> None:
        """It will have no more turns."""
        if self._tracks.pop(track.number, None) is not None and self._connection is not None:
            self._connection.send(CloseTrack(track.number))

    async def check(self) -> None:
        """End the process if it hangs. To be called now and then."""
        connection = self._connection
        if connection is None or not self._turns:
            return
        silent_s = time.monotonic() - self._progress_at
        if silent_s < STOPPED_WITHIN_S or (silent_s < ANSWER_WITHIN_S and not _is_stopped(connection.pid)):
            return
        log.error("a recognition worker (pid %d) has not answered for %.1f s and is ended", connection.pid, silent_s)
        self._hangs = True
        self._progress_at = time.monotonic()
        try:
            await self._process.end_worker(connection.pid)
        except ModelError as error:  # then its workers are gone, too
            log.error("%s", error)

    async def close(self) -> None:
        """End the process; what is not decoded by now never is."""
        self._closed = True
        if self._restart is not None:
            await cancel(self._restart)
        if self._connection is not None:
            self._connection.close()

    async def _connect(self, replaces: int) -> int | None:
        """How the process before ended."""
        ours, forked = await self._process.fork_worker(replaces=replaces)
        connection = await WorkerConnection.open(ours, forked.pid, self._take_answer, self._lost)
        if not connection.is_open:
            raise ModelError("a new recognition worker died at once")
        self._connection = connection
        return forked.replaced_status

    def _take_answer(self, answer: Answer) -> None:
        track = self._turns.popleft()
        if track.number != answer.track:
            raise ValueError(f"an answer for track {answer.track} in place of {track.number}")
        now = time.monotonic()
        self._progress_at = now
        self.idle, self.lent = answer.idle, answer.lent
        waited_s = max(0.0, answer.began_at - track.lined_up_at)
        self.load.record(waited_s=waited_s, cpu_s=answer.cpu_s, audio_s=track.turn_samples / SAMPLE_RATE_HZ)
        track.take_answer(answer)

    def _lost(self, connection: WorkerConnection) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        if not self._closed and (self._restart is None or self._restart.done()):
            self._restart = asyncio.create_task(self._go_on_elsewhere(connection.pid), name="replacing a worker")

    async def _go_on_elsewhere(self, pid: int) -> None:
        suspect = self._turns[0] if self._turns else None
        self._turns.clear()
        hung, self._hangs = self._hangs, False
        status: int | None = None
        while True:
            try:
                status = await self._connect(pid)
                break
            except (ModelError, OSError) as error:
                log.error("no new recognition worker can be had, trying again: %s", error)
                pid = 0
                await asyncio.sleep(RETRY_S)
        reason = "hang" if hung else _name_of(status)
        self._on_death(reason)
        if suspect is not None:
            self._blame(suspect, reason, by_fault=hung or status not in ENDED_BY_OTHERS)
        seconds = self._open_again()
        log.error(
            "a recognition worker died (%s); its tracks (%d) go on in another, which hears %.1f s of audio again",
            reason,
            len(self._tracks),
            seconds,
        )

    def _open_again(self) -> float:
        """Seconds of audio that are heard again."""
        connection = self._connection
        if connection is None:  # dead already; the next one will
            return 0.0
        tracks = list(self._tracks.values())
        for track in tracks:
            connection.send(track.reopen())
        for track in tracks:
            track.go_on()
        return sum(track.replay_samples for track in tracks) / SAMPLE_RATE_HZ

    def _blame(self, track: TrackQueue, reason: str, *, by_fault: bool) -> None:
        if track.blame() >= (DEATHS_BY_FAULT if by_fault else DEATHS_BY_OTHERS):
            log.error(
                "the same audio has ended %d recognition workers (%s): its track is given up", track.deaths, reason
            )
            track.fail(RecognitionError(f"the audio ends the recognizer ({reason}): the rest is not transcribed"))


def _name_of(status: int | None) -> str:
    if status is None:
        return "unknown"
    if status >= 0:
        return "exit"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _is_stopped(pid: int) -> bool:
    """Whether the process was stopped. The third field of its status; the name before it may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except (OSError, IndexError):
        return False
