"""What a track's gate lets through to the recognizer."""

from dataclasses import dataclass

import msgspec


class Speech(msgspec.Struct, frozen=True, gc=False):
    """Mu-law to be recognised, and the position of its first sample."""

    payload: bytes
    at: int

    @property
    def end(self) -> int:
        """The position behind its last sample."""
        return self.at + len(self.payload)


@dataclass(frozen=True, slots=True)
class EndOfUtterance:
    """The utterance is over: what was passed so far is all of it.

    `until`: the track has come no further than this position; silence that was passed behind it was made up.
    """

    until: int | None = None


EndpointerOutput = Speech | EndOfUtterance
