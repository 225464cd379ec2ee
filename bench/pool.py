"""CPU of short calls: a fresh recognizer for each against a warm one from the pool, in turn, in the same run."""

import statistics

from bench import recordings
from transcriber.audio.chunk import SAMPLE_RATE_HZ
from transcriber.recognition.recognizer_pool import RecognizerPool, decode
from transcriber.recognition.vosk_engine import VoskEngine

PIECE_S = 4


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--pieces", type=int, default=24)
    args = parser.parse_args()
    folder = recordings.model(args.model)
    recordings.heading(folder)
    engine = VoskEngine(folder)
    spoken = [mulaw for mulaw, _ in recordings.korean().values()] if folder.band == "wide" else []
    tracks = spoken or list(recordings.samples().values())
    length = PIECE_S * SAMPLE_RATE_HZ
    pieces = [t[at : at + length] for t in tracks for at in range(0, max(1, len(t) - length), length)][: args.pieces]
    pool = RecognizerPool(engine, keep=1)
    pool.warm(1, pieces[0])
    fresh, pooled = [], []
    for piece in pieces:
        fresh.append(decode(engine.create(), piece, engine))
        recognizer = pool.take()
        pooled.append(decode(recognizer, piece, engine))
        pool.give(recognizer, heard_s=0.0)  # never too old
    ratios = [a / b for a, b in zip(fresh, pooled, strict=True)]
    seconds = sum(map(len, pieces)) / SAMPLE_RATE_HZ
    print(f"{len(pieces)} pieces, {seconds:.0f} s; CPU s per s of audio, median (min to max)")
    for name, values in (("fresh", fresh), ("pooled", pooled), ("fresh / pooled", ratios)):
        print(f"{name:15} {statistics.median(values):.4f} ({min(values):.4f} to {max(values):.4f})")


if __name__ == "__main__":
    main()
