"""Makes the weights of the band extension from wide speech, and judges them by a wide model's character error rate.

  python -m bench.band_extension train FOLDER [FOLDER …] [--out FILE.npz]     any 16 kHz wav files
  python -m bench.band_extension judge --model MODEL [--weights FILE.npz]     on Korean sentences, through mu-law

Plain NumPy, reproducible by its seed. Training adds level and noise at random, so that neither decides.
"""

import argparse
import json
import re
import shutil
import tempfile
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from bench import recordings
from transcriber.audio import bandwidth_extension
from transcriber.audio.bandwidth_extension import (
    FRAME_SAMPLES,
    FRAMES_AFTER,
    FRAMES_BEFORE,
    HOP_SAMPLES,
    BandwidthExtender,
    Network,
    Samples,
)
from transcriber.audio.chunk import PCM_RATE_HZ
from transcriber.audio.g711 import compress, expand
from transcriber.audio.upsampling import upsample
from transcriber.catalog import static_graph
from transcriber.recognition.word_errors import word_errors

SHIPPED = Path(bandwidth_extension.__file__).with_name("bandwidth_extension.npz")
HIDDEN, EPOCHS, BATCH = 64, 16, 512
KINDS = ("16 kHz original", "ideal filter", "linear", "linear + noise", "extended")
PARTS = ("dev", "test", "all")


def read_wide(path: Path) -> Samples:
    """A 16 kHz mono wav, full scale 1."""
    with wave.open(str(path)) as file:
        if file.getframerate() != PCM_RATE_HZ or file.getnchannels() != 1 or file.getsampwidth() != 2:
            raise SystemExit(f"{path} is not 16 kHz, mono, 16 bit")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64) / 32768


def telephone(wide: Samples) -> bytes:
    """What a telephone leaves of it: 8 kHz mu-law."""
    return compress(np.clip(np.round(resample_poly(wide, 1, 2) * 32768), -32768, 32767).astype(np.int16))


def clean(mulaw: bytes) -> Samples:
    """The clean upsampling, full scale 1."""
    return np.frombuffer(upsample(mulaw, "telephone"), "<i2") / 32768


def framed(samples: Samples) -> Samples:
    """Frames of FRAME_SAMPLES every HOP_SAMPLES."""
    return np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES]


def pairs(files: Sequence[Path], *, seed: int) -> Iterator[tuple[Samples, Samples]]:
    """(what the network sees, what it should say) of each file, at a random level and with some noise."""
    random = np.random.default_rng(seed)
    for path in files:
        wide = read_wide(path) * 10 ** (random.uniform(-14, 6) / 20)
        heard = wide + random.normal(size=len(wide)) * 10 ** (random.uniform(-90, -55) / 20)
        narrow = clean(telephone(heard))
        length = min(len(narrow), len(wide))
        if length < (FRAMES_BEFORE + FRAMES_AFTER + 2) * FRAME_SAMPLES:
            continue
        seen = bandwidth_extension.features(bandwidth_extension.spectra(framed(narrow[:length])))
        said = bandwidth_extension.energies(
            bandwidth_extension.spectra(framed(wide[:length])), bandwidth_extension.HIGH_BINS
        )
        yield bandwidth_extension.with_context(seen), said[FRAMES_BEFORE : len(said) - FRAMES_AFTER]


def train(files: Sequence[Path], *, seed: int = 0, hidden: int = HIDDEN, epochs: int = EPOCHS) -> Network:
    """Least squares on the log energies, by Adam."""
    found = list(pairs(files, seed=seed))
    features, wanted = np.vstack([pair[0] for pair in found]), np.vstack([pair[1] for pair in found])
    random = np.random.default_rng(seed)
    mean, dev = features.mean(0), features.std(0) + 1e-6
    inputs = ((features - mean) / dev).astype(np.float32)
    target = wanted.astype(np.float32)
    weights = [
        random.normal(0, inputs.shape[1] ** -0.5, (inputs.shape[1], hidden)).astype(np.float32),
        np.zeros(hidden, np.float32),
        random.normal(0, 0.1, (hidden, target.shape[1])).astype(np.float32),
        target.mean(0),
    ]
    first, second, step = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights], 0
    for epoch in range(epochs):
        order, loss = random.permutation(len(inputs)), 0.0
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            seen, step = inputs[chosen], step + 1
            active = np.maximum(0, seen @ weights[0] + weights[1])
            error = active @ weights[2] + weights[3] - target[chosen]
            loss += float((error**2).mean()) * len(chosen)
            slope = 2 * error / len(chosen)
            below = (slope @ weights[2].T) * (active > 0)
            gradients = (seen.T @ below, below.sum(0), active.T @ slope, slope.sum(0))
            rate = 1e-3 * (1 - epoch / epochs)
            for weight, gradient, one, two in zip(weights, gradients, first, second, strict=True):
                one *= 0.9
                one += 0.1 * gradient
                two *= 0.999
                two += 0.001 * gradient**2
                weight -= rate * (one / (1 - 0.9**step)) / (np.sqrt(two / (1 - 0.999**step)) + 1e-8)
        print(f"epoch {epoch + 1}: {4.343 * np.sqrt(loss / len(order)):.2f} dB off, {len(order)} frames", flush=True)
    into, bias_hidden, out, bias = (weight.astype(np.float64) for weight in weights)
    return Network(mean, dev, into, bias_hidden, out, bias)


def save(network: Network, path: Path) -> None:
    """Half precision: some KB."""
    np.savez_compressed(path, **{name: getattr(network, name).astype(np.float16) for name in Network.__slots__})
    print(f"{path}: {path.stat().st_size} bytes")


def load(path: Path) -> Network:
    """The weights of a file."""
    stored = np.load(path)
    return Network(**{name: stored[name].astype(np.float64) for name in Network.__slots__})


def heard(wide: Samples, network: Network) -> dict[str, bytes]:
    """What the model is given, by kind: 16 kHz PCM."""
    mulaw = telephone(wide)
    narrow = clean(mulaw)
    linear = np.interp(np.arange(2 * len(mulaw)) / 2, np.arange(len(mulaw)), expand(mulaw) / 32768)
    guess = BandwidthExtender(network)
    extended = np.concatenate((guess.push(narrow * 32768), guess.flush())) / 32768
    hiss = np.random.default_rng(1).normal(size=len(linear)) * 10 ** (-60 / 20)
    sounds = (wide, narrow, linear, linear + hiss, extended)
    return {
        kind: np.clip(np.round(sound * 32768), -32768, 32767).astype("<i2").tobytes() + bytes(16000)
        for kind, sound in zip(KINDS, sounds, strict=True)
    }


def judge(model: str, network: Network, *, kinds: Sequence[str], part: str) -> None:
    """Character error rates over the Korean sentences of a part of the speakers, and a bootstrap over these."""
    import vosk

    vosk.SetLogLevel(-2)
    with tempfile.TemporaryDirectory() as folder:
        library = vosk.Model(str(_undithered(static_graph.folder_to_load(recordings.model(model).path), Path(folder))))
    table = (recordings.SPEECH / "manifest.tsv").read_text().splitlines()[1:]
    sentences = [row.split("\t") for row in table if row.startswith("korean_wide/")]
    everybody = sorted({row[1] for row in sentences})
    names = [
        name for at, name in enumerate(everybody) if part == "all" or (at % 2 == 1 or at >= 20) == (part == "test")
    ]
    sentences = [row for row in sentences if row[1] in names]
    wrong = {kind: dict.fromkeys(names, 0) for kind in kinds}
    total = dict.fromkeys(names, 0)
    for row in sentences:
        said = _letters(row[3])
        total[row[1]] += len(said)
        sounds = heard(read_wide(recordings.SPEECH / row[0]), network)
        for kind in kinds:
            recognizer = vosk.KaldiRecognizer(library, 16000)  # a used one has adapted to somebody else
            wrong[kind][row[1]] += word_errors(said, _letters(_decode(recognizer, sounds[kind]))).total
    rates = {kind: np.array([[wrong[kind][name], total[name]] for name in names]) for kind in kinds}
    draws = np.random.default_rng(0).integers(len(names), size=(2000, len(names)))
    print(f"{part}: {len(sentences)} sentences, {len(names)} speakers, {sum(total.values())} characters")
    for kind, counts in rates.items():
        sums = counts[draws].sum(1)
        low, high = np.percentile(sums[:, 0] / sums[:, 1], (5, 95))
        by_speaker = np.sort(counts[:, 0] / counts[:, 1])
        print(
            f"{kind:16} {counts[:, 0].sum() / counts[:, 1].sum():.3f}  (90 % between {low:.3f} and {high:.3f}; "
            f"speakers {by_speaker[0]:.2f} to {by_speaker[-1]:.2f}, median {np.median(by_speaker):.2f})",
            flush=True,
        )


def _undithered(model: Path, folder: Path) -> Path:
    """The model without the random noise that Kaldi adds to audio: the same answer every time."""
    for part in model.iterdir():
        if part.name != "conf":
            (folder / part.name).symlink_to(part.resolve())
    shutil.copytree(model / "conf", folder / "conf")
    with (folder / "conf" / "mfcc.conf").open("a") as options:
        options.write("\n--dither=0\n")
    return folder


def _decode(recognizer: object, pcm: bytes) -> str:
    from vosk import KaldiRecognizer

    assert isinstance(recognizer, KaldiRecognizer)
    texts = [
        json.loads(recognizer.Result())["text"]
        for start in range(0, len(pcm), 6400)
        if recognizer.AcceptWaveform(pcm[start : start + 6400])
    ]
    return " ".join([*texts, json.loads(recognizer.FinalResult())["text"]])


def _letters(text: str) -> str:
    return re.sub(r"[^\w]|[a-zA-Z]", "", text)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "judge"))
    parser.add_argument("folder", type=Path, nargs="*")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    parser.add_argument("--model", default="ko", help="name or path of a model trained on wide speech")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--part", choices=PARTS, default="test", help="speakers; choices are made on dev alone")
    parser.add_argument("--hidden", type=int, default=HIDDEN)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.what == "train":
        files = sorted(path for folder in args.folder for path in folder.rglob("*.wav"))
        save(train(files, seed=args.seed, hidden=args.hidden), args.out)
    else:
        judge(args.model, load(args.weights), kinds=args.kinds, part=args.part)


if __name__ == "__main__":
    main()
