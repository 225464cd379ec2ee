"""Playing a recording as one or many calls while following their transcripts; shared by `replay` and `demo`."""

import asyncio
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from transcriber.caller import CallIds, Recording, Target, dial
from transcriber.cli.captions import Captions
from transcriber.cli.connection import Connection, Server
from transcriber.cli.events import follow
from transcriber.cli.terminal import clock, json_line
from transcriber.core.accuracy import Errors, word_errors, words_of
from transcriber.errors import ServerUnreachable, TranscriberError
from transcriber.sample_calls import Turn

DRAIN_S = 60.0
REFRESH_HZ = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to play, to whom, how often and how fast (0: no waiting), and what was said in it, if that is known."""

    target: Target
    server: Server
    recording: Recording
    reference: Sequence[Turn] = ()
    speed: float = 1.0
    calls: int = 1
    parameters: Mapping[str, str] = field(default_factory=dict)
    as_json: bool = False


async def play(job: Job) -> bool:
    """Play to the end and report; True when the user hung up early (first Ctrl-C; a second one leaves at once).

    Raises TranscriberError: the call's own error, or for many calls how many failed and the first one's error.
    """
    screen = _Screen(job)
    hang_up = asyncio.Event()
    async with Connection(job.server) as api:
        with _hanging_up_on_interrupt(hang_up), screen.live():
            results = await asyncio.gather(*(_call(job, api, screen, hang_up) for _ in range(job.calls)))
    failures = [result for result in results if isinstance(result, TranscriberError)]
    transcripts = [result for result in results if not isinstance(result, TranscriberError)]
    if job.reference and transcripts and not hang_up.is_set():
        _report(job, transcripts)
    if failures:
        raise (
            failures[0]
            if job.calls == 1
            else ServerUnreachable(f"{len(failures)} of {job.calls} calls failed; the first: {failures[0]}")
        )
    return hang_up.is_set()


Transcript = dict[str, list[str]]


async def _call(job: Job, api: Connection, screen: "_Screen", hang_up: asyncio.Event) -> Transcript | TranscriberError:
    """One call from dialling to `call.ended`: the words of each track, or what went wrong."""
    ids = CallIds()
    failure: TranscriberError | None = None
    words: Transcript = {track: [] for track in job.recording.tracks}
    # However fast it is played, the server may need real time for every call.
    patience_s = DRAIN_S + job.recording.duration_s * job.calls

    async def read() -> None:
        async with aclosing(follow(api, ids.call)) as events:
            async for event in events:
                screen.show(event)
                if event.get("type") == "final":
                    words.setdefault(str(event.get("track")), []).extend(words_of(str(event.get("text"))))

    try:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read())
            await dial(
                job.target,
                job.recording,
                ids=ids,
                parameters=job.parameters,
                speed=job.speed,
                on_position=screen.position,
                hang_up=hang_up,
                close_s=patience_s,
            )
            async with asyncio.timeout(patience_s):
                await reading
    except* TranscriberError as errors:
        failure = _first(errors)
    except* TimeoutError:
        failure = ServerUnreachable(
            f"call {ids.call} was played, but the server has not ended it in {patience_s:.0f} s"
        )
    return failure or words


class _Screen:
    """Where events go: a live display, plain lines of finals, or JSON lines."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._console = Console()
        self._captions = Captions(self._console, ids=job.calls > 1)
        self._position_ms = 0

    @contextmanager
    def live(self) -> Iterator[None]:
        """Redraw partials and progress in place while inside, if there is a terminal."""
        if self._job.as_json or not self._console.is_terminal:
            yield
            return
        with Live(get_renderable=self._status, console=self._console, refresh_per_second=REFRESH_HZ, transient=True):
            yield

    def show(self, event: Mapping[str, Any]) -> None:
        """One event of one of the calls."""
        if self._job.as_json:
            print(json_line(event), flush=True)
        else:
            self._captions.show(event)

    def position(self, at_ms: int) -> None:
        """How far the recording has been played; of many calls, the furthest."""
        self._position_ms = max(self._position_ms, at_ms)

    def _status(self) -> Group:
        played, total = clock(self._position_ms), clock(round(self._job.recording.duration_s * 1000))
        calls = f"{self._job.calls} calls  " if self._job.calls > 1 else ""
        line = Text(f"▶ {played} / {total}  {calls}Ctrl-C hangs up", style="dim", no_wrap=True, overflow="ellipsis")
        return Group(self._captions.partials(), line)


@contextmanager
def _hanging_up_on_interrupt(hang_up: asyncio.Event) -> Iterator[None]:
    """The first SIGINT or SIGTERM hangs up; after it they do again what they always do."""
    loop = asyncio.get_running_loop()
    watched = (signal.SIGINT, signal.SIGTERM)

    def restore() -> None:
        for number in watched:
            loop.remove_signal_handler(number)

    def interrupted() -> None:
        hang_up.set()
        restore()

    for number in watched:
        loop.add_signal_handler(number, interrupted)
    try:
        yield
    finally:
        restore()


def _first(errors: BaseExceptionGroup[TranscriberError]) -> TranscriberError:
    found = errors.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


def _report(job: Job, transcripts: Sequence[Transcript]) -> None:
    """Print the word error rate of each track and of all, over all calls."""
    total, lines = Errors(), []
    for track in job.recording.tracks:
        said = [word for turn in job.reference if turn.track == track for word in words_of(turn.text)]
        errors = sum((word_errors(said, heard.get(track, [])) for heard in transcripts), Errors())
        total += errors
        lines.append(f"  {track:<9} {_rate(errors)}")
    lines.insert(0, f"word error rate against the reference: {_rate(total)}")
    print("\n".join(lines), file=sys.stderr if job.as_json else sys.stdout)


def _rate(errors: Errors) -> str:
    return f"{100 * errors.rate:.1f} % ({errors.total} of {errors.words} words)"
