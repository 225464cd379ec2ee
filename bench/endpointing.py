"""What the speech gate does to the words, what it keeps from the recogniser, and what it makes of sound without words.

Offline at full speed, through the same decoder as in a server, 100 ms at a time, every track on a fresh recognizer:
figures repeat exactly on a model without dither. Recordings without a reference are compared with what is heard
without the gate. Prints each word that changes: `-` without the gate, `+` with it.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import recordings
from transcriber.audio import sample_calls
from transcriber.audio.chunk import PCM_BYTES_PER_SAMPLE, SAMPLE_RATE_HZ, AudioChunk
from transcriber.audio.g711 import compress
from transcriber.audio.wav import read_recording
from transcriber.events.schema import Word
from transcriber.recognition.chunk_schedule import ChunkSchedule
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.ports import Recognizer
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.results import FinalResult
from transcriber.recognition.track_decoder import TrackDecoder
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.recognition.warm_up_speech import warm_speech
from transcriber.recognition.word_errors import Errors, word_errors, words_of
from transcriber.settings.endpoint_limits import ENDPOINT_MS

SPOKEN = ("spelled_and_numbers", "digits", "short_sentences", "calls")
UNSPOKEN = ("noise", "dtmf")
CHUNK_SAMPLES = SAMPLE_RATE_HZ // 10


@dataclass(frozen=True, slots=True)
class Track:
    """One side of a recording. `said`: its words, None where nobody wrote them down."""

    folder: str
    name: str
    mulaw: bytes
    said: Sequence[str] | None


class Measured:
    """A recognizer that counts what it is fed, in samples at 8 kHz."""

    def __init__(self, recognizer: Recognizer) -> None:
        self.fed_samples = 0
        self._recognizer = recognizer
        self.partial, self.result, self.finish = recognizer.partial, recognizer.result, recognizer.finish

    def accept(self, pcm: bytes) -> bool:
        """As the recognizer's own."""
        self.fed_samples += len(pcm) // PCM_BYTES_PER_SAMPLE
        return self._recognizer.accept(pcm)


class OneUse(RecognizerPool):
    """Lends one recognizer, fresh and measured."""

    def __init__(self, engine: VoskEngine) -> None:
        super().__init__(engine, keep=0)
        self.chunk_schedule = chunk_schedule(engine)
        self.measured = Measured(engine.create())

    def take(self, grammar: Sequence[str] = ()) -> Recognizer:
        """That one."""
        return self.measured


@cache
def chunk_schedule(engine: VoskEngine) -> ChunkSchedule | None:
    """As a server finds it when it starts."""
    pool = RecognizerPool(engine, keep=1)
    pool.warm(1, warm_speech())
    return pool.chunk_schedule


@dataclass(slots=True)
class Tally:
    """Of one folder, without and with the gate."""

    off: Errors = Errors()
    on: Errors = Errors()
    changed: int = 0
    fed: int = 0
    samples: int = 0
    tracks: int = 0
    heard: int = 0


def decoded(engine: VoskEngine, mulaw: bytes, *, gated: bool, endpoint_ms: int = ENDPOINT_MS) -> tuple[list[Word], int]:
    """The words of a track, and how many samples of it were decoded."""
    pool = OneUse(engine)
    decoder = TrackDecoder(pool, RecognitionOptions(vad_enabled=gated, endpoint_ms=endpoint_ms))
    words: list[Word] = []
    for start in range(0, len(mulaw), CHUNK_SAMPLES):
        chunk = AudioChunk("inbound", mulaw[start : start + CHUNK_SAMPLES], start)
        results = decoder.feed([chunk], last=chunk.end_sample >= len(mulaw))
        words += [word for result in results if isinstance(result, FinalResult) for word in result.words]
    return words, pool.measured.fed_samples


def tracks(calls: Path | None) -> Iterator[Track]:
    """The recordings beside the project, and the sample calls or those of another folder."""
    table = recordings.SPEECH / "manifest.tsv"
    rows = [line.split("\t") for line in table.read_text().splitlines()[1:]] if table.is_file() else []
    for folder in SPOKEN + UNSPOKEN:
        for name, _, _, said in (row for row in rows if row[0].startswith(f"{folder}/")):
            for side, mulaw in read_recording(recordings.SPEECH / name).tracks.items():
                yield Track(folder, f"{name} {side}", mulaw, None if said == "-" else words_of(said))
    paths = sorted(calls.glob("*.wav")) if calls else [sample_calls.path(name) for name in sample_calls.names()]
    for path in paths:
        turns = sample_calls.reference(path) or ()
        for side, mulaw in read_recording(path).tracks.items():
            said = words_of(" ".join(turn.text for turn in turns if turn.track == side))
            yield Track("sample calls", f"{path.stem} {side}", mulaw, said if turns else None)


def wordless() -> Iterator[Track]:
    """A minute each of what telephones hear besides people."""
    seconds = np.arange(60 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    noise = np.random.default_rng(7).normal(size=len(seconds))
    kinds = {
        "ringback 440+480 Hz, 2 s of 6": tones(seconds, 440, 480) * (seconds % 6 < 2),
        "busy 480+620 Hz, 0.5 s of 1": tones(seconds, 480, 620) * (seconds % 1 < 0.5),
        "dial tone 350+440 Hz": tones(seconds, 350, 440),
        "tone 425 Hz": tones(seconds, 425),
        "fax 1100 Hz, 0.5 s of 3.5": tones(seconds, 1100) * (seconds % 3.5 < 0.5),
        "fax 2100 Hz": tones(seconds, 2100),
        "ringback 400+450 Hz, twice 0.4 s of 3": tones(seconds, 400, 450)
        * ((seconds % 3 < 1) & (seconds % 3 % 0.6 < 0.4)),
        "keys, 0.1 s of 0.2": keys(seconds),
        "clipped 1000 Hz": 20 * tones(seconds, 1000),
        "white noise -30 dBFS": 0.03 * noise,
        "white noise -10 dBFS": 0.3 * noise,
        "hum 50 Hz with harmonics": tones(seconds, 50, 150, 250, 350),
        "music": music(seconds),
        "melody, four notes a second": melody(seconds),
        "the same with a drum": melody(seconds) + 5 * noise * 0.03 * np.exp(-40 * (seconds % 0.5)),
    }
    for name, wave in kinds.items():
        mulaw = compress(np.clip(wave * 32767, -32768, 32767).astype(np.int16))
        yield Track("made", name, mulaw, ())
    yield Track("made", "mu-law zeros", bytes(60 * SAMPLE_RATE_HZ), ())
    yield Track("made", "silence", b"\xff" * 60 * SAMPLE_RATE_HZ, ())


def tones(seconds: NDArray[np.float64], *frequencies: float) -> NDArray[np.float64]:
    """Sines of equal strength, -14 dB of full scale together."""
    waves = (np.sin(2 * np.pi * frequency * seconds) for frequency in frequencies)
    return np.asarray(0.28 / len(frequencies) * sum(waves), np.float64)


def music(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hold music of a kind: chords of plucked notes with harmonics, a new one every half second."""
    chords = ((262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294))
    wave = np.zeros(len(seconds))
    for beat in range(int(seconds[-1] * 2) + 1):
        part = slice(beat * SAMPLE_RATE_HZ // 2, (beat + 1) * SAMPLE_RATE_HZ // 2)
        at = seconds[part] - beat / 2
        for note in chords[beat // 4 % 4]:
            for harmonic in (1, 2, 3, 4):
                wave[part] += 0.1 / harmonic * np.sin(2 * np.pi * note * harmonic * at) * np.exp(-3 * at)
    return wave


def keys(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """All keys of a telephone in turn, 100 ms each and 100 ms apart."""
    wave = np.zeros(len(seconds))
    for number in range(int(seconds[-1] * 5) + 1):
        part = slice(number * SAMPLE_RATE_HZ // 5, number * SAMPLE_RATE_HZ // 5 + SAMPLE_RATE_HZ // 10)
        row, column = (697, 770, 852, 941)[number // 4 % 4], (1209, 1336, 1477, 1633)[number % 4]
        wave[part] = tones(seconds[part], row, column)
    return wave


def melody(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Notes of a scale in no order over the chords of `music`."""
    notes = np.random.default_rng(3).choice((262, 294, 330, 392, 440, 523, 587, 659), int(seconds[-1] * 4) + 1)
    wave = 0.5 * music(seconds)
    for number, note in enumerate(notes):
        part = slice(number * SAMPLE_RATE_HZ // 4, (number + 1) * SAMPLE_RATE_HZ // 4)
        at = seconds[part] - number / 4
        wave[part] += sum(0.1 / h * np.sin(2 * np.pi * note * h * at) for h in (1, 2, 3, 4)) * np.exp(-4 * at)
    return wave


def compare(engine: VoskEngine, track: Track, tally: Tally, *, endpoint_ms: int) -> None:
    """Decode a track without and with the gate, add both up, and print what differs."""
    off, _ = decoded(engine, track.mulaw, gated=False)
    on, fed = decoded(engine, track.mulaw, gated=True, endpoint_ms=endpoint_ms)
    before, after = [word.word for word in off], [word.word for word in on]
    said = before if track.said is None else track.said
    tally.off += word_errors(said, before)
    tally.on += word_errors(said, after)
    tally.changed += word_errors(before, after).total
    tally.fed += fed
    tally.samples += len(track.mulaw)
    tally.tracks += 1
    tally.heard += len(on)
    alike = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    for kind, i, j, k, m in alike.get_opcodes():
        if kind != "equal":
            at = (off[i:j] or on[k:m])[0].start_ms / 1000
            context = " ".join(before[max(0, i - 2) : i])
            print(f"  {track.name} {at:.2f} s: {context} -[{' '.join(before[i:j])}] +[{' '.join(after[k:m])}]")


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--calls", type=Path, help="folder of sample calls instead of those that ship")
    parser.add_argument("--endpoint-ms", type=int, default=ENDPOINT_MS)
    args = parser.parse_args()
    folder = recordings.model(args.model)
    recordings.heading(folder)
    engine = VoskEngine(folder)
    tallies: dict[str, Tally] = {}
    for track in tracks(args.calls):
        compare(engine, track, tallies.setdefault(track.folder, Tally()), endpoint_ms=args.endpoint_ms)
    print(f"\n{'folder':20} tracks  s  words  errors off/on %  difference  words changed  share fed")
    known = Tally()
    for name, tally in tallies.items():
        row(name, tally)
        if name not in (*UNSPOKEN, "calls"):
            known.off, known.on = known.off + tally.off, known.on + tally.on
    print(f"all that is written down: {known.off.words} words, {points(known)}")
    print(f"\n{'without words':38} share fed off/on  words off/on")
    for track in wordless():
        off, on = (decoded(engine, track.mulaw, gated=gated) for gated in (False, True))
        shares = "/".join(f"{100 * fed / len(track.mulaw):.0f}" for _, fed in (off, on))
        print(f"{track.name:38} {shares:>8} %   {len(off[0]):3} / {len(on[0])}")


def row(name: str, tally: Tally) -> None:
    """Print one folder. Where nothing is written down, the words without the gate are the reference."""
    fed = f"{100 * tally.fed / tally.samples:.1f} %"
    print(
        f"{name:20} {tally.tracks:4} {tally.samples / SAMPLE_RATE_HZ:6.0f} {tally.off.words:5} words  {points(tally)}",
        end="",
    )
    print(f"  {tally.changed} changed  {fed} fed  {tally.heard} heard")


def points(tally: Tally) -> str:
    """Word error rates in percent and their difference in points."""
    off, on = 100 * tally.off.rate, 100 * tally.on.rate
    return f"{off:.2f} / {on:.2f} ({on - off:+.2f})"


if __name__ == "__main__":
    main()
