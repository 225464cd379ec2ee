"""The scale for what the gate changes: errors with and without it, when tracks lose milliseconds of their beginning.

Acoustic models look at every third frame and adapt chunk by chunk, so the same speech begun elsewhere reads otherwise.
What the gate does to the words counts only beyond that. The Korean sentences; a model without dither (`--dither=0` in
its conf/mfcc.conf) shows shifts alone.
"""

from bench import recordings
from bench.endpointing import decoded
from transcriber.audio.chunk import SAMPLES_PER_MS
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.recognition.word_errors import Errors, word_errors, words_of


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--cuts", type=int, nargs="+", default=[0, 30, 60, 120, 240], metavar="MS")
    args = parser.parse_args()
    folder = recordings.model(args.model)
    recordings.heading(folder)
    engine = VoskEngine(folder)
    spoken = [(mulaw, "".join(words_of(said))) for mulaw, said in recordings.korean().values()]
    if not spoken:
        parser.error(f"no Korean sentences in {recordings.SPEECH}")
    for cut in args.cuts:
        without, with_gate = (errors(engine, spoken, cut=cut, gated=gated) for gated in (False, True))
        print(
            f"first {cut:3} ms cut: character errors without the gate {100 * without.rate:.2f} %, "
            f"with it {100 * with_gate.rate:.2f} % ({without.words} characters)",
            flush=True,
        )


def errors(engine: VoskEngine, spoken: list[tuple[bytes, str]], *, cut: int, gated: bool) -> Errors:
    """Characters wrong of mu-law and the characters said, a fresh recognizer for each recording."""
    found = Errors()
    for mulaw, said in spoken:
        words, _ = decoded(engine, mulaw[cut * SAMPLES_PER_MS :], gated=gated)
        found += word_errors(said, "".join(words_of(" ".join(word.word for word in words))))
    return found


if __name__ == "__main__":
    main()
