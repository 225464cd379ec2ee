"""How a track is to be heard."""

from dataclasses import dataclass

from transcriber.recognition.hints import NO_HINTS, Hints
from transcriber.settings.endpoint_limits import ENDPOINT_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionOptions:
    """How a track is to be heard. Without `gated` everything is fed and the model's own endpoints are used."""

    partials: bool = True
    gated: bool = True
    endpoint_ms: int = ENDPOINT_MS
    grammar: tuple[str, ...] = ()
    hints: Hints = NO_HINTS
