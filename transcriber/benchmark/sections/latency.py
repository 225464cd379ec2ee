"""Section `latency`: how soon words are there after they were said, under a given load."""

from transcriber.benchmark import load
from transcriber.benchmark.load import LoadResult
from transcriber.benchmark.plan import Plan
from transcriber.benchmark.section_report import Row, SectionReport, percentile

KINDS = (("first partial", "first_ms"), ("final", "final_ms"), ("final less endpoint", "lag_ms"))


async def measure(plan: Plan, *, most_calls: float) -> SectionReport:
    """Percentiles by side, with the load of `most_calls` the plan wants. Raises TranscriberError."""
    count = plan.at_once(most_calls)
    calls = plan.callers(count)
    rows: list[Row] = []
    for opening in plan.sides():
        async with opening as side:
            plan.say(f"latency: {side.name}, {count} at once")
            outcome = (await load.play(side, calls)).sound()
        rows += [_row(side.name, kind, attribute, outcome) for kind, attribute in KINDS]
    return SectionReport(
        section="latency",
        about=plan.played(count, sum(call.track_s for call in calls)),
        rows=rows,
        notes=(source(plan), *NOTES),
    )


NOTES = (
    "against the schedule of the audio, so that a caller or server that falls behind is counted; "
    "seen by a Redis subscriber (service) or on the socket (peer)",
    "less endpoint: without the silence that has to pass first (the service's ENDPOINT_MS; of a peer, whose model "
    "decides, the time from the audio that ended the utterance to the answer)",
)


def source(plan: Plan) -> str:
    """Where the moments of speech come from."""
    if any(call.by_energy for call in plan.material):
        return "speech begins and ends where a detector finds energy (30 dB below the track's loud parts)"
    return "speech begins and ends where the reference turns beside the recordings say"


def _row(name: str, kind: str, attribute: str, outcome: LoadResult) -> Row:
    values = [value for delay in outcome.delays if (value := getattr(delay, attribute)) is not None]
    return {
        "side": name,
        "what": kind,
        "turns": outcome.turns,
        "measured": len(values),
        "p50_ms": percentile(values, 50),
        "p95_ms": percentile(values, 95),
        "p99_ms": percentile(values, 99),
        "caller_late_p99_ms": percentile(outcome.late_ms, 99),
        "others_cores": outcome.others_cores,
    }
