"""Section `cost`: CPU seconds that a second of one track costs, in real time, against Vosk alone in the same run."""

from transcriber.audio import sample_calls
from transcriber.audio.wav import read_recording
from transcriber.benchmark import bare_vosk, load
from transcriber.benchmark.plan import Plan
from transcriber.benchmark.section_report import Row, SectionReport, ratio, rounded
from transcriber.runtime.machine import whole_cores

LOAD_SHARE = 0.5
"""Of the load: bare Vosk and a service with its VAD off must keep up as well."""


async def measure(plan: Plan) -> SectionReport:
    """CPU by system. Raises TranscriberError."""
    count = plan.call_count(plan.most_tracks / 2, share=LOAD_SHARE)
    calls = plan.staggered_calls(count)
    costs: dict[str, tuple[float | None, float | None]] = {}
    for name, warm in (("bare Vosk, fresh recognizers", False), ("bare Vosk, recycled", True)):
        plan.report(f"cost: {name}, {count} at once")
        tracks = [mulaw for call in calls for mulaw in call.recording.tracks.values()]
        other = read_recording(sample_calls.path(sample_calls.DEFAULT)).tracks["outbound"]
        value = await bare_vosk.in_subprocess(
            bare_vosk.measure_cost,
            str(plan.model.path),
            plan.model.band,
            tracks,
            warm_on=other if warm else None,
            threads=whole_cores(),
        )
        costs[name] = (value, None)
    for opened in plan.systems(gate_off_first=True):
        async with opened as system:
            plan.report(f"cost: {system.name}, {count} at once")
            outcome = (await load.play(system, calls)).require_success()
        redis = None if outcome.used is None else outcome.used.redis_cpu_s / outcome.track_s
        costs[system.name] = (outcome.cost, redis or None)
    fresh, recycled = (costs[name][0] for name in list(costs)[:2])
    rows: list[Row] = [
        {
            "side": name,
            "cpu_s_per_s": rounded(value, 4),
            "of_it_redis": rounded(redis, 4),
            "ratio_to_fresh": ratio(value, fresh),
            "ratio_to_recycled": ratio(value, recycled),
        }
        for name, (value, redis) in costs.items()
    ]
    return SectionReport(
        section="cost",
        about=plan.describe_calls(count, sum(call.track_s for call in calls)),
        rows=rows,
        notes=(
            "CPU of all processes of a side per second of one track; everybody hears the same audio in real time",
            "bare Vosk is fed everything, 100 ms at a time, a partial each; recycled: made and warmed before",
        ),
    )
