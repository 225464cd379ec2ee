"""A run of `transcriber bench`: the sections in their order, and how reports look."""

import argparse
import asyncio
import dataclasses
import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from transcriber.benchmark import chart, machine, material, transcriber_service, vosk_server_peer
from transcriber.benchmark.plan import Plan
from transcriber.benchmark.section_report import Row, SectionReport, Value
from transcriber.benchmark.sections import accuracy, capacity, cost, latency, memory, parity
from transcriber.catalog import ModelFolder, find
from transcriber.cli.table import Table
from transcriber.cli.terminal_text import draws, print_status
from transcriber.errors import AudioFileError, ConfigError
from transcriber.runtime.machine import cpu_cores
from transcriber.settings.definition import load_settings

WIDTH = 110
SIMPLE = {"parity": parity, "accuracy": accuracy, "cost": cost, "memory": memory}


def measure_and_print(args: argparse.Namespace, sections: Sequence[str]) -> int:
    """Measure these sections as the command's arguments say. Raises TranscriberError."""
    chosen = list(sections)
    settings = load_settings().settings
    model = find(args.model or settings.model, settings.models_home)
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
        measured = {report.section: dataclasses.asdict(report) for report in reports}
        print(json.dumps({"machine": described, "sections": measured}))
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
    if not draws(sys.stderr):
        yield print_status
        return
    from transcriber.cli.rich_terminal.progress import spinner

    with spinner() as report:
        yield report


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
    """Names to the left, figures to the right."""
    table = Table(
        columns=[name.replace("_", " ") for name in rows[0]],
        rows=[[_cell(value) for value in row.values()] for row in rows],
        right=[name.replace("_", " ") for name in rows[0] if not all(isinstance(row[name], str) for row in rows)],
    )
    return textwrap.indent(table.text(), "  ")


def _cell(value: Value) -> str:
    return "-" if value is None else str(value)
