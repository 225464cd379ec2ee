"""What an endpointer goes by, in samples at 8 kHz. Pure."""

from dataclasses import dataclass

from transcriber.audio.chunk import SAMPLES_PER_MS
from transcriber.settings.endpoint_limits import ENDPOINT_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointerParameters:
    """Its times; all but the endpoint were found by measuring (`bench/endpointing.py`)."""

    endpoint_samples: int = ENDPOINT_MS * SAMPLES_PER_MS
    """When the voice has been gone for so long, the utterance is over."""
    tail_samples: int = 500 * SAMPLES_PER_MS
    """Silence passed after the voice: the decoder looks ahead, and without it the last word would be cut."""
    soft_limit_samples: int = 20_000 * SAMPLES_PER_MS
    """An utterance as long as this ends at the next short pause …"""
    short_pause_samples: int = 200 * SAMPLES_PER_MS
    """… of so much."""
    hard_limit_samples: int = 30_000 * SAMPLES_PER_MS
    """And at this length anywhere: an utterance that never ends would hold the decoder's memory."""
    wordless_samples: int = 10_000 * SAMPLES_PER_MS
    """Sound without a word for so long suspends recognition …"""
    suspended_samples: int = 8_000 * SAMPLES_PER_MS
    """… for so much, or until a pause; then it is tried again …"""
    probe_samples: int = 2_000 * SAMPLES_PER_MS
    """… for so long."""
    strict_vad_samples: int = 60_000 * SAMPLES_PER_MS
    """After an utterance in which no word was found only what surely is a voice counts for so long."""


DEFAULTS = EndpointerParameters()
