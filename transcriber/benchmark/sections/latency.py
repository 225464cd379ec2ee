"""Section `latency`: how soon words are there after they were said, under a given load."""

from transcriber.benchmark import load
from transcriber.benchmark.load import LoadResult
from transcriber.benchmark.plan import Plan
from transcriber.benchmark.section_report import Row, SectionReport, percentile

KINDS = (("first partial", "first_ms"), ("final", "final_ms"), ("final less endpoint", "lag_ms"))


async def measure(plan: Plan, *, most_calls: float) -> SectionReport:
    """Percentiles by system, with the load of `most_calls` the plan wants. Raises TranscriberError."""
    count = plan.call_count(most_calls)
    calls = plan.staggered_calls(count)
    rows: list[Row] = []
    for opened in plan.systems():
        async with opened as system:
            plan.report(f"latency: {system.name}, {count} at once")
            outcome = (await load.play(system, calls)).require_success()
        rows += [_row(system.name, kind, attribute, outcome) for kind, attribute in KINDS]
    return SectionReport(
        section="latency",
        about=plan.describe_calls(count, sum(call.track_s for call in calls)),
        rows=rows,
        notes=(source_of_turns(plan), *NOTES),
    )


NOTES = (
    "against the schedule of the audio, so that a caller or server that falls behind is counted; "
    "seen by a Redis subscriber (service) or on the socket (peer)",
    "less endpoint: without the silence that has to pass first (the service's ENDPOINT_MS; of a peer, whose model "
    "decides, the time from the audio that ended the utterance to the answer)",
)


def source_of_turns(plan: Plan) -> str:
    """How it is known when somebody spoke, in words."""
    if any(call.turns_by_energy for call in plan.material):
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
