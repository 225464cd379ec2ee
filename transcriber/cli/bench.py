"""`transcriber bench`: what to measure, and how reports look. How it is measured lives in `transcriber.benchmark`."""

import argparse
import asyncio
import dataclasses
import json
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from transcriber.benchmark import chart, machine, material, transcriber_service, vosk_server_peer
from transcriber.benchmark.plan import Plan
from transcriber.benchmark.section_report import Row, SectionReport, Value
from transcriber.benchmark.sections import accuracy, capacity, cost, latency, memory, parity
from transcriber.catalog import ModelFolder, find
from transcriber.cli.arguments import count, positive
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.terminal_text import print_status
from transcriber.errors import AudioFileError, ConfigError
from transcriber.runtime.machine import cpu_cores
from transcriber.settings.definition import load_settings

SECTIONS = ("parity", "accuracy", "cost", "capacity", "latency", "memory")
"""In the order in which they run: latency wants to know the capacity."""
WIDTH = 110
SIMPLE = {"parity": parity, "accuracy": accuracy, "cost": cost, "memory": memory}


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "bench",
        run=run,
        summary="measure this machine, this model and this service: words, CPU, delays, capacity, memory",
        examples="""
            transcriber bench                                       everything, on the sample calls: some minutes
            transcriber bench cost latency --model vosk-model-small-en-us-0.15 --audio call1.wav call2.wav
            transcriber bench capacity --bound-ms 300 --picture delay.svg
            transcriber bench accuracy --manifest recordings.tsv    lines of: path, tab, transcript
            transcriber bench cost capacity --peer 'python3 asr_server.py {port}' --json
        """,
    )
    parser.add_argument("section", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; default: all")
    parser.add_argument("--model", default="", metavar="NAME", help="name or path; default: as `serve` would choose")
    audio = parser.add_mutually_exclusive_group()
    audio.add_argument("--audio", nargs="+", type=Path, metavar="FILE", help="wav files instead of the sample calls")
    audio.add_argument("--manifest", type=Path, metavar="TSV", help="a list of mono wav files and their transcripts")
    parser.add_argument("--seconds", type=positive, default=30.0, metavar="S", help="length of each call (30)")
    parser.add_argument("--calls", type=count, metavar="N", help="calls at once, or first in the capacity search")
    parser.add_argument(
        "--load", type=positive, default=0.7, metavar="F", help="share of capacity used without --calls (0.7)"
    )
    parser.add_argument("--bound-ms", type=positive, default=500.0, metavar="MS", help="most delay of a final (500)")
    parser.add_argument("--budget-s", type=positive, default=180.0, metavar="S", help="for each capacity search (180)")
    parser.add_argument(
        "--peer", metavar="CMD", help="also measure a server with vosk-server's protocol: {port} in CMD, or a ws:// URL"
    )
    parser.add_argument(
        "--peer-rate", type=int, choices=(8000, 16000), default=16000, help="Hz of the peer's audio (16000)"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw delay against load (with capacity)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measure and print. Raises TranscriberError."""
    if unknown := [name for name in args.section if name not in SECTIONS]:
        args.usage_error(f"no section {unknown[0]!r}: choose from {', '.join(SECTIONS)}")
    chosen = [name for name in SECTIONS if name in args.section or not args.section]
    if args.picture and "capacity" not in chosen:
        args.usage_error("--picture shows the capacity section: ask for that too")
    settings = load_settings().settings
    model = find(args.model or settings.model, settings.data_dir)
    model.check()
    if args.peer and not vosk_server_peer.is_url(args.peer):
        vosk_server_peer.command(args.peer, 0)
    calls = _material(args)
    if "accuracy" in chosen and not any(any(call.transcripts.values()) for call in calls):
        if args.section:
            raise AudioFileError(accuracy.NOTHING_SAID)
        chosen.remove("accuracy")
        print_status(f"without accuracy: {accuracy.NOTHING_SAID}")
    described = machine.describe_machine(model)
    if not args.json:
        print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in described.items()), flush=True)
    reports = asyncio.run(_measure(args, chosen, model, calls))
    if args.json:
        sections = {report.section: dataclasses.asdict(report) for report in reports}
        print(json.dumps({"machine": described, "sections": sections}))
    return 0


def _material(args: argparse.Namespace) -> list[material.Call]:
    if args.manifest:
        return material.from_manifest(args.manifest)
    return [material.from_recording(path) for path in args.audio] if args.audio else material.from_sample_calls()


async def _measure(
    args: argparse.Namespace, chosen: Sequence[str], model: ModelFolder, calls: Sequence[material.Call]
) -> list[SectionReport]:
    reports = []
    with _progress() as report_progress:
        report_progress("how many tracks there is room for")
        plan = Plan(
            model=model,
            material=calls,
            report=report_progress,
            seconds=args.seconds,
            calls=args.calls,
            load=args.load,
            bound_ms=args.bound_ms,
            budget_s=args.budget_s,
            most_tracks=await transcriber_service.measure_max_tracks(model),
            peer=args.peer,
            peer_rate=args.peer_rate,
        )
        most_calls = plan.most_tracks / 2
        for name in chosen:
            if name == "capacity":
                result = await capacity.measure(plan)
                most_calls, report = result.most_calls, result.report
                if args.picture:
                    _draw(args.picture, result, plan)
            elif name == "latency":
                report = await latency.measure(plan, most_calls=most_calls)
            else:
                report = await SIMPLE[name].measure(plan)
            reports.append(report)
            if not args.json:
                _show(report)
    return reports


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """The current step, on stderr: redrawn in place on a terminal, else a line each."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield print_status
        return
    with console.status("") as status:
        yield lambda text: status.update(Text(text))


def _draw(path: Path, result: capacity.CapacityResult, plan: Plan) -> None:
    title = f"{plan.model.name}, {cpu_cores():.3g} cores"
    try:
        path.write_text(chart.svg(result.steps, bound_ms=plan.bound_ms, title=title))
    except OSError as error:
        raise ConfigError(f"--picture {path}: {error.strerror or error}") from None


def _show(report: SectionReport) -> None:
    print(f"\n{report.section}: {report.about}")
    for rows in (report.rows, report.steps):
        if rows:
            print(_table(rows))
    for note in report.notes:
        print(textwrap.fill(note, WIDTH, initial_indent="  - ", subsequent_indent="    "), flush=True)


def _table(rows: Sequence[Row]) -> str:
    """Names to the left, figures to the right, as wide as they need be."""
    lines = [[name.replace("_", " ") for name in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = [all(isinstance(row[name], str) for row in rows) for name in rows[0]]
    return "\n".join(
        "  "
        + "  ".join(
            cell.ljust(width) if to_left else cell.rjust(width)
            for cell, width, to_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    )


def _cell(value: Value) -> str:
    return "-" if value is None else str(value)
