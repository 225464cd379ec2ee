"""Hears audio that was received before, as fast as the workers have time beside the live calls."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from transcriber.audio.chunk import SAMPLE_RATE_HZ, AudioChunk
from transcriber.errors import ModelError
from transcriber.recognition.service import RecognitionService
from transcriber.recognition.track_decoder import RecognitionResults
from transcriber.recognition.utterance_tracker import FinalResult
from transcriber.telephony.outcomes import StreamRefused

MOST_WAITING = 60 * SAMPLE_RATE_HZ
PAUSE_S = 0.05


async def retranscribe(
    ears: RecognitionService, parameters: Mapping[str, str], audio: Mapping[str, Sequence[AudioChunk]]
) -> list[tuple[str, FinalResult]]:
    """The utterances of a stream with these custom parameters, with their tracks, in the order in which they ended.

    `audio`: by track. Raises ModelError, and what recognition raises.
    """
    hearing = await ears.open_stream(parameters)
    if isinstance(hearing, StreamRefused):
        raise ModelError(hearing.reason)
    found: list[tuple[str, FinalResult]] = []

    def tell(track: str, heard: RecognitionResults) -> None:
        found.extend((track, item) for item in heard if isinstance(item, FinalResult))

    async def hear(track: str, chunks: Sequence[AudioChunk]) -> None:
        lane = hearing.track_queue(partial(tell, track))
        for chunk in chunks:
            while lane.pending > MOST_WAITING:  # noqa: ASYNC110 - a lane tells nobody how far it is
                await asyncio.sleep(PAUSE_S)
            if not lane.offer(chunk):
                break
        await lane.finish()

    await asyncio.gather(*(hear(track, chunks) for track, chunks in audio.items()))
    return sorted(found, key=lambda item: item[1].words[-1].end_ms)
