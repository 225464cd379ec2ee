"""Text through the service's lanes against bare Vosk on the same 16 kHz samples.

`en-demo` is deterministic: all texts must be equal, fresh and recycled, whatever the frames. A model with random dither
(`--model ko`) is judged by its character error rate, both sides in the same run.
"""

import asyncio
import json
from typing import Any

import vosk

from bench import recordings
from transcriber.core.accuracy import word_errors
from transcriber.core.audio import Band, Upsampler
from transcriber.core.utterance import Utterance
from transcriber.engine.ear import Heard, Manner
from transcriber.engine.lanes import Lanes
from transcriber.engine.pool import RecognizerPool
from transcriber.engine.vosk import VoskEngine


def bare(library: Any, mulaw: bytes, band: Band) -> str:
    """A fresh KaldiRecognizer, 100 ms at a time."""
    recognizer, upsampler = vosk.KaldiRecognizer(library, 16000), Upsampler(band)
    pcm = upsampler.push(mulaw) + upsampler.flush()
    blocks = (pcm[start : start + 3200] for start in range(0, len(pcm), 3200))
    texts = [json.loads(recognizer.Result())["text"] for block in blocks if recognizer.AcceptWaveform(block)]
    return " ".join(" ".join([*texts, json.loads(recognizer.FinalResult())["text"]]).split())


async def through(lanes: Lanes, pool: RecognizerPool, mulaw: bytes, frame: int) -> str:
    """The same track through a lane, frame by frame."""
    texts: list[str] = []

    def tell(heard: Heard) -> None:
        texts.extend(item.text for item in heard if isinstance(item, Utterance))

    lane = lanes.open(pool, tell, manner=Manner(gated=False))
    for start in range(0, len(mulaw), frame):
        lane.offer(mulaw[start : start + frame], start)
    await lane.finish()
    return " ".join(texts)


async def equal(engine: VoskEngine, library: Any) -> None:
    """How many texts are the same."""
    audio = recordings.samples() | recordings.telephone()
    print(f"{len(audio)} tracks, {sum(map(len, audio.values())) / 8000:.0f} s")
    expected = {name: bare(library, mulaw, engine.band) for name, mulaw in audio.items()}
    for kind, keep in (("recycled", 2), ("fresh", 0)):
        lanes, pool = Lanes(workers=2), RecognizerPool(engine, keep=keep)
        for frame in (160, 56, 1000, 1 << 30):
            same = [name for name, mulaw in audio.items() if await through(lanes, pool, mulaw, frame) == expected[name]]
            size = f"{frame / 8:g} ms frames" if frame < 1 << 30 else "whole tracks"
            print(
                f"{kind:9} {size:16} {len(same)} of {len(audio)} equal; different: {set(audio) - set(same) or 'none'}"
            )
        await asyncio.to_thread(lanes.close)


async def rates(engine: VoskEngine, library: Any) -> None:
    """Character error rates of both sides, twice each."""
    audio = recordings.korean()
    lanes, pool = Lanes(workers=1), RecognizerPool(engine, keep=2)
    for turn in (1, 2):
        wrong, total = {"bare": 0, "service": 0}, 0
        for mulaw, said in audio.values():
            total += len(letters(said))
            heard = {"bare": bare(library, mulaw, engine.band), "service": await through(lanes, pool, mulaw, 160)}
            for side, text in heard.items():
                wrong[side] += word_errors(letters(said), letters(text)).total
        shown = ", ".join(f"{side} {100 * errors / total:.2f} %" for side, errors in wrong.items())
        print(f"run {turn}: {len(audio)} sentences, {total} characters: {shown}")
    await asyncio.to_thread(lanes.close)


def letters(text: str) -> list[str]:
    """What counts as a character."""
    return [letter for letter in text if letter.isalpha() and not letter.isascii()]


def main() -> None:
    """Entry point."""
    folder = recordings.model(recordings.parser(__doc__).parse_args().model)
    recordings.heading(folder)
    engine = VoskEngine(folder)
    library = vosk.Model(str(folder.path))
    asyncio.run(rates(engine, library) if folder.band == "wide" else equal(engine, library))


if __name__ == "__main__":
    main()
