"""Writes two-track calls of seconds, for `transcriber bench capacity --audio FOLDER/*.wav`: a sentence a side.

Read sentences in the language of the large model, as the recordings beside the project have them: the caller says one,
half a second later the agent, another speaker, says the next.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from bench import recordings
from transcriber.audio.chunk import SAMPLE_RATE_HZ, SILENCE
from transcriber.audio.g711 import expand

PAUSE = bytes([SILENCE]) * (SAMPLE_RATE_HZ // 2)
END = bytes([SILENCE]) * (SAMPLE_RATE_HZ * 5 // 2)
"""More than the bench wants behind a turn, to tell its end from the end of the call."""


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--calls", type=int, default=8)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    by_speaker: dict[str, list[bytes]] = {}
    for name, (mulaw, _) in sorted(recordings.korean().items()):
        by_speaker.setdefault(Path(name).name[:3], []).append(mulaw)
    pairs = list(pairwise(by_speaker.values()))[: args.calls]
    for number, (callers, agents) in enumerate(pairs, 1):
        write(args.folder / f"call{number:02}.wav", callers[0], agents[-1])
    print(f"{len(pairs)} calls in {args.folder}")


def write(path: Path, caller: bytes, agent: bytes) -> None:
    """Both sides as one stereo file, the caller on the left."""
    left = PAUSE + caller + PAUSE + bytes([SILENCE]) * len(agent) + END
    right = PAUSE + bytes([SILENCE]) * len(caller) + PAUSE + agent + END
    wavfile.write(path, SAMPLE_RATE_HZ, np.stack([expand(left), expand(right)], axis=1))


if __name__ == "__main__":
    main()
