"""`transcriber bench`: what to measure. How it is measured lives in `transcriber.benchmark`."""

import argparse
from importlib.util import find_spec
from pathlib import Path

from transcriber.cli.arguments import count, positive
from transcriber.cli.command import Subparsers, add_command
from transcriber.errors import ExtraMissing

SECTIONS = ("parity", "accuracy", "cost", "capacity", "latency", "memory")
"""In the order in which they run: latency wants to know the capacity."""


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
    if find_spec("psutil") is None:
        raise ExtraMissing("`transcriber bench` reads CPU and memory with psutil: pip install psutil")
    from transcriber.cli.bench_run import measure_and_print

    return measure_and_print(args, chosen)
