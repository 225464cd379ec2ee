"""What an endpointer gives out, and what it is doing. Pure."""

from dataclasses import dataclass
from enum import Enum, auto

import msgspec

from transcriber.audio.chunk import AudioChunk
from transcriber.recognition.pre_roll import HeldStep
from transcriber.recognition.track_steps import StepsSnapshot
from transcriber.recognition.voice_activity import VoiceActivitySnapshot


@dataclass(frozen=True, slots=True)
class EndOfUtterance:
    """The utterance is over: what was passed so far is all of it.

    `until_sample`: the track has come no further than this position; silence that was passed behind it was made up.
    """

    until_sample: int | None = None


EndpointerOutput = AudioChunk | EndOfUtterance


class EndpointerState(Enum):
    """WAITING -> SPEECH <-> PAUSE -> WAITING, and from SPEECH or PAUSE to SUSPENDED -> WAITING."""

    WAITING = auto()
    """No utterance: audio is held for the pre-roll."""
    SPEECH = auto()
    """An utterance: audio is passed on at once, up to the end of the tail."""
    PAUSE = auto()
    """An utterance whose voice has been gone for longer: audio is held until it is back or the endpoint comes."""
    SUSPENDED = auto()
    """No utterance, though there is sound: no word was found in it."""


WAITING, SPEECH, PAUSE, SUSPENDED = EndpointerState  # Python 3.11 looks a member up in its class ten times as slowly


class EndpointerSnapshot(msgspec.Struct, frozen=True, array_like=True, tag="endpointer"):
    """The attributes of an `Endpointer`, between two calls."""

    state: EndpointerState
    steps: StepsSnapshot
    passed_until: int
    silent: int
    length: int
    wordless: int
    suspended: int
    voice: VoiceActivitySnapshot
    held: list[HeldStep]


class ModelEndpointerSnapshot(msgspec.Struct, frozen=True, array_like=True, tag="model"):
    """The attributes of a `ModelEndpointer`."""

    utterance_open: bool
    track: str
    next: int
