"""Recognises audio that was received before, as fast as the workers have time beside the live calls."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from transcriber.audio.chunk import SAMPLE_RATE_HZ, AudioChunk
from transcriber.errors import ModelError
from transcriber.recognition.results import FinalResult, RecognitionResults
from transcriber.recognition.service import RecognitionService
from transcriber.telephony.outcomes import StreamRefused

MAX_PENDING_SAMPLES = 60 * SAMPLE_RATE_HZ
POLL_S = 0.05


async def retranscribe(
    service: RecognitionService, parameters: Mapping[str, str], audio: Mapping[str, Sequence[AudioChunk]]
) -> list[tuple[str, FinalResult]]:
    """The finals of a stream with these custom parameters, with their tracks, in the order in which they ended.

    `audio`: by track. Raises ModelError, and what recognition raises.
    """
    recognition = await service.open_stream(parameters)
    if isinstance(recognition, StreamRefused):
        raise ModelError(recognition.reason)
    found: list[tuple[str, FinalResult]] = []

    def keep_finals(track: str, results: RecognitionResults) -> None:
        found.extend((track, result) for result in results if isinstance(result, FinalResult))

    async def recognise(track: str, chunks: Sequence[AudioChunk]) -> None:
        queue = recognition.track_queue(partial(keep_finals, track))
        for chunk in chunks:
            while queue.pending_samples > MAX_PENDING_SAMPLES:  # noqa: ASYNC110 - a queue tells nobody how far it is
                await asyncio.sleep(POLL_S)
            if not queue.offer(chunk):
                break
        await queue.finish()

    await asyncio.gather(*(recognise(track, chunks) for track, chunks in audio.items()))
    return sorted(found, key=lambda item: item[1].words[-1].end_ms)
