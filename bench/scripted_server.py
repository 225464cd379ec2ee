"""`serve` with the scripted engine: everything but recognition. Says every second how late frames are heard."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from transcriber.audio.chunk import SAMPLES_PER_MS, AudioChunk
from transcriber.calls.session import Session
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.worker.protocol import ScriptedModel
from transcriber.server.server import running
from transcriber.settings.definition import Settings

LATE_MS: list[float] = []


def watch_lateness() -> None:
    """Note for every frame how much later than its timestamp says it is heard, against the earliest of its stream."""
    receive = Session.receive_audio

    def watched(self: Session, chunk: AudioChunk) -> None:
        lead = time.monotonic() * 1000 - chunk.start_sample / SAMPLES_PER_MS
        self.lead = min(getattr(self, "lead", lead), lead)  # type: ignore[attr-defined]
        LATE_MS.append(lead - self.lead)  # type: ignore[attr-defined]
        receive(self, chunk)

    Session.receive_audio = watched  # type: ignore[method-assign]


def tell(file: str, late_ms: float) -> None:
    """For whoever measures."""
    Path(file).write_text(f"{late_ms:.1f}")


async def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser()
    for name in ("--data-dir", "--port", "--max-tracks", "--late-file"):
        parser.add_argument(name)
    args = parser.parse_args()
    settings = Settings(
        port=int(args.port), data_dir=Path(args.data_dir), max_tracks=int(args.max_tracks), drain_s=0, workers=1
    )
    if args.late_file:
        watch_lateness()
    model = ModelProcess(ScriptedModel(("one two three four five six",)))
    async with running(settings, model_process=model, report=lambda line: None) as server:
        print(f"ready on {server.url};", file=sys.stderr, flush=True)
        while True:
            await asyncio.sleep(1)
            late = sorted(LATE_MS)
            LATE_MS.clear()
            if args.late_file and late:
                tell(args.late_file, late[int(len(late) * 0.99)])


if __name__ == "__main__":
    asyncio.run(main())
