"""What it costs in words when another decoder goes on with a track at every checkpoint, as after a worker's death.

Every recording of the speech folder in the model's language, offline at full speed, a turn of 200 ms at a time, with
pooled recognizers that have heard other tracks; `--joined`: all of a speaker's recordings in one track, a second of
silence between them, so that there is something to have adapted to. Prints for the speech gate on and off how many
finals (text, words, times, confidences) and tracks (text) are those of a first run without a checkpoint: of a second
run without, and of runs with a resume at every checkpoint, for each length of the context that is heard again (and
of what models that adapt to the speaker hear before). Errors are words; in Korean, characters. Then the size of
checkpoints, and what making one and feeding costs.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from unittest.mock import patch

from bench import recordings
from transcriber.audio.chunk import SAMPLE_RATE_HZ, AudioChunk
from transcriber.audio.wav import read_recording
from transcriber.recognition import fed_audio
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.results import FinalResult
from transcriber.recognition.track_decoder import TrackDecoder
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.recognition.warm_up_speech import warm_speech
from transcriber.recognition.word_errors import Errors, word_errors, words_of

TURN_SAMPLES = SAMPLE_RATE_HZ // 5
SILENCE = b"\xff" * SAMPLE_RATE_HZ
Track = tuple[bytes, str]
"""Mu-law, and what was said."""


@dataclass(slots=True)
class Run:
    """What was heard of each track, and what its checkpoints were like."""

    finals: list[list[FinalResult]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    feeding_s: float = 0.0


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--joined", action="store_true", help="a track for each speaker")
    parser.add_argument("--contexts", type=float, nargs="+", default=[1.0], metavar="S", help="heard again exactly")
    parser.add_argument(
        "--adaptations", type=float, nargs="+", default=[4.0], metavar="S", help="heard again before that"
    )
    args = parser.parse_args()
    folder = recordings.model(args.model)
    recordings.heading(folder)
    engine = VoskEngine(folder)
    korean = "ko" in folder.path.name or args.model == "ko"
    tracks = list(material("ko" if korean else "en", joined=args.joined))
    if not tracks:
        parser.error(f"no such recordings in {recordings.SPEECH}")
    pools = [RecognizerPool(engine, keep=1) for _ in range(2)]
    for pool in pools:
        pool.warm(1, warm_speech())
    print(f"{len(tracks)} tracks, {sum(len(mulaw) for mulaw, _ in tracks) / SAMPLE_RATE_HZ:.0f} s")
    for gate in (True, False):
        options = RecognitionOptions(vad_enabled=gate)
        first = run(pools, tracks, options)
        report(f"gate {'on' if gate else 'off'}, first run", first, first, tracks, characters=korean)
        report("  second run", run(pools, tracks, options), first, tracks, characters=korean)
        for context_s, before_s in product(args.contexts, args.adaptations if engine.adapts else [0.0]):
            lengths = [round(seconds * SAMPLE_RATE_HZ) for seconds in (context_s, before_s)]
            with patch.multiple(fed_audio, CONTEXT_SAMPLES=lengths[0], ADAPTATION_SAMPLES=lengths[1]):
                resumed = run(pools, tracks, options, resume=True)
            name = f"  resumed, {context_s:g} s of context after {before_s:g} s"
            report(name, resumed, first, tracks, characters=korean)
            describe_cost(resumed)


def material(language: str, *, joined: bool) -> Iterator[Track]:
    """Of the speech folder, what has a transcript."""
    table = recordings.SPEECH / "manifest.tsv"
    rows = [line.split("\t") for line in table.read_text().splitlines()[1:]] if table.is_file() else []
    by_track: dict[str, list[Track]] = {}
    for path, speaker, spoken_in, said in rows:
        if spoken_in == language and said != "-":
            [mulaw] = read_recording(recordings.SPEECH / path).tracks.values()
            by_track.setdefault(speaker if joined else path, []).append((mulaw, said))
    for pieces in by_track.values():
        yield SILENCE.join(mulaw for mulaw, _ in pieces), " ".join(said for _, said in pieces)


def run(
    pools: Sequence[RecognizerPool], tracks: Sequence[Track], options: RecognitionOptions, *, resume: bool = False
) -> Run:
    """Decode all tracks one after the other; with `resume` each checkpoint is gone on with in the other pool."""
    found = Run()
    for mulaw, _ in tracks:
        decoder = TrackDecoder(pools[0], options)
        finals: list[FinalResult] = []
        for start in range(0, len(mulaw), TURN_SAMPLES):
            before = time.thread_time()
            results = decoder.feed([AudioChunk("inbound", mulaw[start : start + TURN_SAMPLES], start)], last=False)
            fed = time.thread_time()
            checkpoint = decoder.checkpoint()
            found.feeding_s += fed - before
            finals += [result for result in results if isinstance(result, FinalResult)]
            if checkpoint is not None:
                found.seconds.append(time.thread_time() - fed)
                found.sizes.append(len(checkpoint))
                if resume:
                    decoder.give_up()
                    decoder = TrackDecoder(pools[len(found.sizes) % 2], options, checkpoint)
        finals += [result for result in decoder.feed([], last=True) if isinstance(result, FinalResult)]
        found.finals.append(finals)
    return found


def report(name: str, found: Run, first: Run, tracks: Sequence[Track], *, characters: bool) -> None:
    """Print how much of it is as in the first run, and how much is wrong."""
    pairs = list(zip(found.finals, first.finals, strict=True))
    equal = sum(final in expected for finals, expected in pairs for final in finals)
    reworded = sum(text(finals) != text(expected) for finals, expected in pairs)
    changed = sum((word_errors(words_of(text(its)), words_of(text(ours))) for ours, its in pairs), Errors())
    wrong = Errors()
    for (_, said), finals in zip(tracks, found.finals, strict=True):
        truth, heard = words_of(said), words_of(text(finals))
        wrong += word_errors("".join(truth), "".join(heard)) if characters else word_errors(truth, heard)
    print(
        f"{name}: {equal} of {sum(map(len, found.finals))} finals equal, "
        f"{len(tracks) - reworded} of {len(tracks)} tracks read alike, "
        f"{changed.total} of {changed.words} words changed; {100 * wrong.rate:.2f} % of {wrong.words} wrong; "
        f"feeding took {found.feeding_s:.1f} CPU s",
        flush=True,
    )


def describe_cost(found: Run) -> None:
    """Print what checkpoints are like."""
    if found.sizes:
        print(
            f"    {len(found.sizes)} checkpoints of {min(found.sizes) / 1000:.1f} to {max(found.sizes) / 1000:.1f} KB, "
            f"median {statistics.median(found.sizes) / 1000:.1f} KB; CPU ms for one: "
            f"median {1000 * statistics.median(found.seconds):.2f}, most {1000 * max(found.seconds):.2f}",
            flush=True,
        )


def text(finals: Sequence[FinalResult]) -> str:
    """All that was said."""
    return " ".join(final.text for final in finals)


if __name__ == "__main__":
    main()
