"""`transcriber models compile`: composes a model's dynamic graph ahead of time, so that calls cost less CPU."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transcriber import catalog
from transcriber.audio import sample_calls
from transcriber.catalog.compile import EquivalenceReport, GraphCompiler, Machine, Needs, OpenFst
from transcriber.catalog.compile.graph_compiler import ReportProgress
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.setting_flags import add_setting_flags, settings_of
from transcriber.cli.terminal_text import draws, printable
from transcriber.errors import CompileError


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "compile",
        run=run,
        summary="compose a model's dynamic graph ahead of time: the same text for less CPU, for more memory and disk",
        examples="""
            transcriber models compile vosk-model-small-en-us-0.15
            transcriber models compile ~/models/vosk-model-small-de-0.15 --recording call.wav
            rm -r ~/models/vosk-model-small-de-0.15/static     # back to the dynamic graph
        """,
    )
    parser.add_argument("name", metavar="NAME", help="an installed model, or the folder of one")
    parser.add_argument("--yes", action="store_true", help="go on although memory or disk seem too small")
    parser.add_argument("--force", action="store_true", help="install the graph although some text differs")
    parser.add_argument(
        "--recording",
        type=Path,
        action="append",
        metavar="FILE",
        help="compare the texts on this wav file instead of the sample calls (may be repeated)",
    )
    add_setting_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Compile, prove, install. Raises TranscriberError, and then nothing has changed."""
    folder = catalog.find(args.name, settings_of(args).settings.models_home)
    recordings = args.recording or [sample_calls.path(name) for name in sample_calls.names()]
    with GraphCompiler(folder, OpenFst.find()) as compiler:
        with _progress() as report:
            report("reading the language model", 0.0)
            needs = compiler.prepare()
        machine = Machine.now(folder.path)
        print(_estimate(needs, machine), flush=True)
        if (lacking := machine.lacks(needs)) and not args.yes:
            raise CompileError(
                f"too little {' and '.join(lacking)}: compile {folder.name} on a larger machine and copy its static/ "
                "folder here, or try with --yes"
            )
        with _progress() as report:
            size = compiler.compose(report)
            result = compiler.prove(recordings, report)
        print(printable(_verdict(result)), flush=True)
        if not result.holds and not args.force:
            raise CompileError("not installed: the texts are not the same (--force installs it all the same)")
        place = compiler.install()
    print(printable(f"installed: {place} ({size / 1e6:.0f} MB); used from the next start on"))
    return 0


def _estimate(needs: Needs, machine: Machine) -> str:
    gb = 1e9
    duration = f"about {needs.seconds / 60:.0f} min" if needs.seconds > 60 else "less than a minute"
    return (
        f"estimate: {needs.memory_bytes / gb:.1f} GB of memory ({machine.memory_bytes / gb:.1f} GB free), "
        f"{needs.disk_bytes / gb:.2f} GB of disk while it works, {needs.graph_bytes / gb:.2f} GB afterwards "
        f"({machine.disk_bytes / gb:.1f} GB free), {duration}"
    )


def _verdict(result: EquivalenceReport) -> str:
    if not result.words:
        return "proof: no word was heard in the recordings, so nothing is proved"
    differing = (
        f"; {result.wrong} words in {', '.join(result.differing)} are others (the dynamic graph differs from itself in "
        f"{result.unsteady})"
        if result.differing
        else ""
    )
    return (
        f"proof: {result.identical} of {result.tracks} tracks read the same ({result.words} words; "
        f"times differ by {result.furthest_ms} ms at most, confidences by {result.furthest_confidence:.2f}){differing}"
    )


@contextmanager
def _progress() -> Iterator[ReportProgress]:
    """A bar for each step on a terminal, a line for each step elsewhere."""
    if not draws(sys.stderr):
        yield _lines()
        return
    from transcriber.cli.rich_terminal.progress import step_bars

    with step_bars() as report:
        yield report


def _lines() -> ReportProgress:
    seen: set[str] = set()

    def report(step: str, _: float) -> None:
        if step not in seen:
            seen.add(step)
            print(f"{step} …", file=sys.stderr, flush=True)

    return report
