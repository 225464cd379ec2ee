"""Audio that is no speech, or hardly: a whole server makes no words of the one and hears the other."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.server.conftest import Event, Running, Serve
from tests.server.test_calls import kinds, of
from transcriber.audio.chunk import SAMPLE_RATE_HZ
from transcriber.audio.g711 import compress, expand
from transcriber.audio.sample_calls import path
from transcriber.audio.wav import Recording, read_recording
from transcriber.recognition.supervisor.model_process import ModelProcess

SECONDS = np.arange(20 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
QUIET = ["call.started", "stream.started", "stream.stopped", "call.ended"]


async def played(running: Running, mulaw: bytes) -> list[Event]:
    """The events of a one-track call."""
    async with running.phone.call(Recording({"inbound": mulaw})) as call:
        await call.play()
        assert await call.hang_up() == 1000
        return await running.ended(call.call_sid)


def pcm(samples: NDArray[np.float64]) -> bytes:
    """Samples of -1 to 1, clipped, as mu-law."""
    return compress(np.clip(samples * 32767, -32768, 32767).astype(np.int16))


@pytest.mark.parametrize(
    "mulaw",
    [
        pytest.param(bytes(20 * SAMPLE_RATE_HZ), id="all zero bytes"),
        pytest.param(pcm(np.random.default_rng(5).normal(0, 0.2, len(SECONDS))), id="noise"),
        pytest.param(pcm(0.3 * np.sin(2 * np.pi * 425 * SECONDS)), id="tone"),
        pytest.param(
            pcm(0.15 * (np.sin(880 * np.pi * SECONDS) + np.sin(960 * np.pi * SECONDS)) * (SECONDS % 6 < 2)),
            id="ringing",
        ),
    ],
)
async def test_no_words_come_of_sound_without_any(serve: Serve, demo_model: ModelProcess, mulaw: bytes) -> None:
    assert kinds(await played(await serve(model=demo_model), mulaw)) == QUIET


async def test_clipped_speech_is_still_heard(serve: Serve, demo_model: ModelProcess) -> None:
    mulaw = read_recording(path("08_short_wrong_department")).tracks["outbound"]
    events = await played(await serve(model=demo_model), pcm(expand(mulaw) / 32768 * 6))
    assert "stream.error" not in kinds(events)
    heard = " ".join(final["text"] for final in of(events, "final"))
    assert "transfer you to technical support" in heard
