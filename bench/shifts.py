"""The scale for what the gate changes: errors without it, when each track is cut by some milliseconds of its beginning.

Acoustic models look at every third frame and adapt chunk by chunk, so the same speech begun elsewhere reads otherwise.
What the gate does to the words counts only beyond that. One folder of recorded speech; a model without dither
(`--dither=0` in its conf/mfcc.conf) shows shifts alone.
"""

from bench import recordings
from bench.gate import hear
from transcriber.caller import read_recording
from transcriber.core.accuracy import Errors, word_errors, words_of
from transcriber.core.audio import PER_MS
from transcriber.engine.vosk import VoskEngine


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--folder", default="korean_wide", help="of the recordings beside the project")
    parser.add_argument("--cuts", type=int, nargs="+", default=[0, 30, 60, 120, 240], metavar="MS")
    args = parser.parse_args()
    folder = recordings.model(args.model)
    recordings.heading(folder)
    engine = VoskEngine(folder)
    spoken = sentences(args.folder)
    for cut in args.cuts:
        without, with_gate = (errors(engine, spoken, cut=cut, gated=gated) for gated in (False, True))
        print(
            f"first {cut:3} ms cut: character errors without the gate {100 * without.rate:.2f} %, "
            f"with it {100 * with_gate.rate:.2f} % ({without.words} characters)",
            flush=True,
        )


def sentences(folder: str) -> list[tuple[bytes, str]]:
    """Mu-law and the characters said, of every recording in the folder that has one track."""
    table = (recordings.SPEECH / "manifest.tsv").read_text().splitlines()[1:]
    rows = [line.split("\t") for line in table if line.startswith(f"{folder}/")]
    return [
        (next(iter(read_recording(recordings.SPEECH / row[0]).tracks.values())), "".join(words_of(row[3])))
        for row in rows
    ]


def errors(engine: VoskEngine, spoken: list[tuple[bytes, str]], *, cut: int, gated: bool) -> Errors:
    """Characters wrong, a fresh recognizer for each recording."""
    found = Errors()
    for mulaw, said in spoken:
        words, _ = hear(engine, mulaw[cut * PER_MS :], gated=gated)
        found += word_errors(said, "".join(words_of(" ".join(word.word for word in words))))
    return found


if __name__ == "__main__":
    main()
