"""Plays a recording as one or many calls and follows their transcripts; used by `replay` and `demo`."""

import asyncio
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

from transcriber.audio.sample_calls import Turn
from transcriber.audio.wav import Recording
from transcriber.cli.event_display import EventDisplay
from transcriber.cli.event_follower import follow
from transcriber.cli.http_client import Connection, Server
from transcriber.cli.terminal_text import clock_time
from transcriber.errors import ServerUnreachable, TranscriberError
from transcriber.recognition.word_errors import Errors, word_errors, words_of
from transcriber.telephony.simulator import CallIds, Target, dial

ANSWER_WITHIN_S = 60.0
Transcript = dict[str, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Playback:
    """What to play, to whom, how often and how fast (0: no waiting), and what was said in it, if that is known."""

    target: Target
    server: Server
    recording: Recording
    reference: Sequence[Turn] = ()
    speed: float = 1.0
    calls: int = 1
    parameters: Mapping[str, str] = field(default_factory=dict)
    as_json: bool = False


async def play(playback: Playback) -> bool:
    """Play to the end and report; True when the user hung up early (first Ctrl-C; a second one leaves at once).

    Raises TranscriberError: the call's own error, or for many calls how many failed and the first one's error.
    """
    progress = _Progress(playback)
    display = EventDisplay(as_json=playback.as_json, ids=playback.calls > 1, footer=progress.line)
    hang_up = asyncio.Event()
    async with Connection(playback.server) as api:
        with _hanging_up_on_interrupt(hang_up), display.live():
            results = await asyncio.gather(
                *(_call(playback, api, display, progress, hang_up) for _ in range(playback.calls))
            )
    failures = [result for result in results if isinstance(result, TranscriberError)]
    transcripts = [result for result in results if not isinstance(result, TranscriberError)]
    if playback.reference and transcripts and not hang_up.is_set():
        _report(playback, transcripts)
    if failures:
        raise (
            failures[0]
            if playback.calls == 1
            else ServerUnreachable(f"{len(failures)} of {playback.calls} calls failed; the first: {failures[0]}")
        )
    return hang_up.is_set()


async def _call(
    playback: Playback, api: Connection, display: EventDisplay, progress: "_Progress", hang_up: asyncio.Event
) -> Transcript | TranscriberError:
    """One call from dialling to `call.ended`: the words of each track, or what went wrong."""
    ids = CallIds()
    failure: TranscriberError | None = None
    words: Transcript = {track: [] for track in playback.recording.tracks}
    # However fast it is played, the server may need real time for every call.
    patience_s = ANSWER_WITHIN_S + playback.recording.duration_s * playback.calls

    async def read() -> None:
        async with aclosing(follow(api, ids.call)) as events:
            async for event in events:
                display.show(event)
                if event.get("type") == "final":
                    words.setdefault(str(event.get("track")), []).extend(words_of(str(event.get("text"))))

    try:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read())
            await dial(
                playback.target,
                playback.recording,
                ids=ids,
                parameters=playback.parameters,
                speed=playback.speed,
                on_position=progress.at,
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


class _Progress:
    """How far the recording has been played; of many calls, the furthest."""

    def __init__(self, playback: Playback) -> None:
        self._total = clock_time(round(playback.recording.duration_s * 1000))
        self._calls = f"{playback.calls} calls  " if playback.calls > 1 else ""
        self._at_ms = 0

    def at(self, at_ms: int) -> None:
        """One of the calls has come to that position."""
        self._at_ms = max(self._at_ms, at_ms)

    def line(self) -> str:
        """The display's last line."""
        return f"▶ {clock_time(self._at_ms)} / {self._total}  {self._calls}Ctrl-C hangs up"


@contextmanager
def _hanging_up_on_interrupt(hang_up: asyncio.Event) -> Iterator[None]:
    """The first SIGINT or SIGTERM hangs up; after it they do again what they always do."""
    loop = asyncio.get_running_loop()
    # Among them asyncio's own, which cancels everything in order.
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)

    def interrupted() -> None:
        hang_up.set()
        restore()

    for number in before:
        loop.add_signal_handler(number, interrupted)
    try:
        yield
    finally:
        restore()


def _first(errors: BaseExceptionGroup[TranscriberError]) -> TranscriberError:
    found = errors.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


def _report(playback: Playback, transcripts: Sequence[Transcript]) -> None:
    """Print the word error rate of each track and of all, over all calls."""
    total, lines = Errors(), []
    for track in playback.recording.tracks:
        spoken = [word for turn in playback.reference if turn.track == track for word in words_of(turn.text)]
        errors = sum((word_errors(spoken, transcript.get(track, [])) for transcript in transcripts), Errors())
        total += errors
        lines.append(f"  {track:<9} {_rate(errors)}")
    lines.insert(0, f"word error rate against the reference: {_rate(total)}")
    print("\n".join(lines), file=sys.stderr if playback.as_json else sys.stdout)


def _rate(errors: Errors) -> str:
    return f"{100 * errors.rate:.1f} % ({errors.total} of {errors.words} words)"
