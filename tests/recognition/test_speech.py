"""The tracks on recorded speech: the words of bare Vosk in every file, and no stable word that changes."""

from typing import Any

import pytest

from tests.models import demo
from tests.recognition.conftest import TracksOf
from tests.recognition.test_service import bare, listen, settled, words
from tests.speech import mulaw_tracks, needs_speech, telephone_files
from transcriber.audio.chunk import AudioChunk
from transcriber.recognition.results import FinalResult, PartialResult

FRAME_MS = 30
pytestmark = [pytest.mark.speech, needs_speech, pytest.mark.timeout(600)]


async def test_every_recording_reads_as_with_bare_vosk(bare_model: Any, tracks_of: TracksOf) -> None:
    tracks = await tracks_of(demo(), workers=2)
    compared = 0
    for number, path in enumerate(telephone_files()):
        for mulaw in mulaw_tracks(path):
            results = words(await listen(tracks, mulaw, frame=(160, 57, 1000)[number % 3]))
            expected = bare(bare_model, mulaw)
            assert [word for word, _, _ in results] == [word for word, _, _ in expected], path
            # The library's times are means over its lattice: they differ by some ms between recognizers.
            times = zip(results, expected, strict=True)
            assert all(abs(ours[1] - its[1]) <= FRAME_MS and abs(ours[2] - its[2]) <= FRAME_MS for ours, its in times)
            compared += 1
    assert compared > 200


async def test_no_stable_word_ever_changes(tracks_of: TracksOf) -> None:
    tracks = await tracks_of(demo(), workers=1)
    promised = 0
    for path in telephone_files():
        for mulaw in mulaw_tracks(path):
            results: list[PartialResult | FinalResult] = []
            queue = tracks.open(results.extend, partials=True)
            for start in range(0, len(mulaw), 800):
                queue.offer(AudioChunk("inbound", mulaw[start : start + 800], start))
                await settled(queue)
            await queue.finish()
            stable: list[str] = []
            for item in results:
                assert item.text.split()[: len(stable)] == stable, path
                stable = item.text.split()[: item.stable] if isinstance(item, PartialResult) else []
                promised += len(stable)
    assert promised > 250
