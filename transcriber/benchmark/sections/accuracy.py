"""Section `accuracy`: word and character errors against the transcripts, with the VAD on and off, and a peer's."""

from collections.abc import Sequence

from transcriber.benchmark import load
from transcriber.benchmark.call_result import CallResult
from transcriber.benchmark.plan import Plan
from transcriber.benchmark.section_report import Row, SectionReport
from transcriber.recognition.word_errors import Errors, word_errors, words_of
from transcriber.runtime.machine import whole_cores

NOTHING_SAID = "accuracy needs to know what is said: a .json with the turns beside each recording, or --manifest"


async def measure(plan: Plan) -> SectionReport:
    """Whole recordings whose texts are known (one at least), as fast as they are taken. Raises TranscriberError."""
    calls = [call for call in plan.material if any(call.transcripts.values())]
    rows = []
    for opened in plan.systems(gate_off_first=True):
        async with opened as system:
            plan.report(f"accuracy: {system.name}, {len(calls)} recordings")
            outcome = await load.play_at_full_speed(system, calls, at_once=2 * whole_cores())
        rows.append(_row(system.name, outcome.require_success().results))
    return SectionReport(
        section="accuracy",
        about=plan.describe_calls(len(calls), sum(call.track_s for call in calls)),
        rows=rows,
        notes=("case and punctuation do not count; characters are compared without spaces",),
    )


def _row(name: str, results: Sequence[CallResult]) -> Row:
    words, letters = Errors(), Errors()
    for result in results:
        for track, text in result.call.transcripts.items():
            said, found = words_of(text), result.words(track)
            words += word_errors(said, found)
            letters += word_errors("".join(said), "".join(found))
    return {
        "side": name,
        "words": words.words,
        "word_errors_percent": round(100 * words.rate, 2),
        "substituted": words.substitutions,
        "inserted": words.insertions,
        "missed": words.deletions,
        "character_errors_percent": round(100 * letters.rate, 2),
    }
