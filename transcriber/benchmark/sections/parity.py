"""Section `parity`: the words that come out of the service are those of Vosk alone; what the VAD changes."""

from collections.abc import Sequence

from transcriber.benchmark import bare_vosk, load
from transcriber.benchmark.call_result import CallResult
from transcriber.benchmark.plan import Plan
from transcriber.benchmark.section_report import Row, SectionReport
from transcriber.benchmark.transcriber_service import run_service
from transcriber.recognition.word_errors import Errors, word_errors, words_of
from transcriber.runtime.machine import whole_cores

Texts = dict[tuple[int, str], list[str]]
"""Words by number of the call and track."""


async def measure(plan: Plan) -> SectionReport:
    """Whole recordings, as fast as they are taken. Raises TranscriberError."""
    calls = list(plan.material)
    plan.report(f"parity: bare Vosk on {len(calls)} recordings")
    keys = [(number, track) for number, call in enumerate(calls) for track in call.recording.tracks]
    tracks = [calls[number].recording.tracks[track] for number, track in keys]
    alone = await bare_vosk.in_subprocess(bare_vosk.transcribe, str(plan.model.path), plan.model.band, tracks)
    expected = {key: words_of(text) for key, text in zip(keys, alone, strict=True)}
    recognized = {}
    for speech_gate in (False, True):
        async with run_service(plan.model, speech_gate=speech_gate) as system:
            plan.report(f"parity: {system.name}")
            outcome = await load.play_at_full_speed(system, calls, at_once=2 * whole_cores())
        recognized[system.name] = words_by_track(outcome.require_success().results)
    rows = [_row(plan, name, expected, found) for name, found in (("bare Vosk", expected), *recognized.items())]
    return SectionReport(
        section="parity",
        about=plan.describe_calls(len(calls), sum(call.track_s for call in calls)),
        rows=rows,
        notes=(
            "whole way: caller, socket, queues, recycled recognizers, Redis; Vosk alone: a fresh recognizer a track",
            "a model whose mfcc.conf has no --dither=0 hears random noise, so its texts differ from run to run",
        ),
    )


def words_by_track(results: Sequence[CallResult]) -> Texts:
    """The words of each track, calls numbered in their order."""
    return {
        (number, track): result.words(track)
        for number, result in enumerate(results)
        for track in result.call.recording.tracks
    }


def _row(plan: Plan, name: str, expected: Texts, found: Texts) -> Row:
    against_bare = sum((word_errors(expected[key], found[key]) for key in expected), Errors())
    said = {
        (number, track): words_of(text)
        for number, call in enumerate(plan.material)
        for track, text in call.transcripts.items()
    }
    against_said = sum((word_errors(said[key], found[key]) for key in said), Errors())
    return {
        "side": name,
        "tracks": len(expected),
        "equal_to_bare": sum(expected[key] == found[key] for key in expected),
        "words": against_bare.words,
        "words_unlike_bare_percent": round(100 * against_bare.rate, 2),
        "word_errors_percent": round(100 * against_said.rate, 2) if said else None,
    }
