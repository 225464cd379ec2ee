"""When recognizers move on: found by watching one, and then they are fed at these moments."""

import pytest

from tests.models import demo
from tests.recognition.conftest import TracksOf
from tests.recognition.test_service import listen, words
from transcriber.audio.chunk import SAMPLE_RATE_HZ, AudioChunk
from transcriber.audio.upsampling import upsample
from transcriber.recognition.chunk_schedule import ChunkSchedule, measure_chunk_schedule
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.results import PartialResult
from transcriber.recognition.track_decoder import TrackDecoder
from transcriber.recognition.vosk_engine import VoskEngine

FRAME = SAMPLE_RATE_HZ // 50


def test_moves_have_a_schedule_in_common() -> None:
    assert ChunkSchedule.of([4140, 6060, 9900, 11_820]) == ChunkSchedule(1920, 300)
    assert ChunkSchedule.of([300, 2220, 4140]) is None  # too few
    assert ChunkSchedule.of([40, 120, 160, 200, 280]) is None  # none
    schedule = ChunkSchedule(1920, 300)
    assert [schedule.samples_to_next(fed) for fed in (0, 299, 300, 301, 2220)] == [300, 1, 1920, 1919, 1920]


def test_the_schedule_of_a_model_is_that_of_every_recognizer(vosk_engine: VoskEngine, sample: dict[str, bytes]) -> None:
    found = [
        measure_chunk_schedule(vosk_engine.create(), upsample(mulaw, vosk_engine.band)) for mulaw in sample.values()
    ]
    assert found[0] is not None
    assert found[0] == found[1]
    recycled = vosk_engine.create()
    assert [measure_chunk_schedule(recycled, upsample(mulaw, vosk_engine.band)) for mulaw in sample.values()] == found


def test_without_speech_there_is_no_schedule_and_blocks_are_fed(vosk_engine: VoskEngine) -> None:
    pool = RecognizerPool(vosk_engine, keep=1)
    pool.warm(1, b"\xff" * SAMPLE_RATE_HZ)
    assert pool.chunk_schedule is None
    assert TrackDecoder(pool, RecognitionOptions()).due_samples == SAMPLE_RATE_HZ // 10


@pytest.mark.parametrize("track", ["inbound", "outbound"])
def test_words_show_up_as_soon_as_the_recognizer_has_them(
    vosk_engine: VoskEngine, sample: dict[str, bytes], track: str
) -> None:
    """A decoder that is left alone until audio is due tells within one frame what one tells that is fed every frame."""
    pool = RecognizerPool(vosk_engine, keep=4)
    pool.warm(1, sample["outbound"])
    mulaw = sample[track]
    results: list[list[tuple[int, str]]] = []
    calls = []
    for patient in (False, True):
        decoder = TrackDecoder(pool, RecognitionOptions())
        texts, heard, times = [], 0, 0
        for end in range(FRAME, len(mulaw) + 1, FRAME):
            if patient and end - heard < decoder.due_samples:
                continue
            times += 1
            news = decoder.feed([AudioChunk("inbound", mulaw[heard:end], heard)], last=False)
            heard = end
            texts += [(end, item.text) for item in news if isinstance(item, PartialResult)]
        results.append(texts)
        calls.append(times)
    assert [text for _, text in results[1]] == [text for _, text in results[0]]
    assert len(results[0]) > 20
    assert max(late - soon for (soon, _), (late, _) in zip(*results, strict=True)) <= FRAME
    assert calls[1] < 0.35 * calls[0]


async def test_words_do_not_depend_on_frames(tracks_of: TracksOf, sample: dict[str, bytes]) -> None:
    tracks = await tracks_of(demo(), workers=1)
    for mulaw in sample.values():
        results = [words(await listen(tracks, mulaw, frame=frame, gated=True)) for frame in (160, 37, 999, 24_000)]
        assert len(results[0]) > 20
        assert all(other == results[0] for other in results)
