"""Whether what a model makes of sound was said by people: of music models make words, too. Pure."""

from transcriber.recognition.results import FinalResult, PartialResult

SURE_CONFIDENCE = 0.5
"""Mean confidence from which an utterance counts as words …"""
MONOTONE_WORDS = 5
"""… unless it is one word for so many times: of music models make that, too, and are sure of it."""


class WordEvidence:
    """Of one track, result by result."""

    def __init__(self) -> None:
        self._latest: list[str] = []
        """The last words of finals that counted, as long as they are one and the same."""

    def is_plausible(self, result: PartialResult | FinalResult) -> bool:
        """Whether people may have said the words of it."""
        final = isinstance(result, FinalResult)
        if isinstance(result, FinalResult) and result.confidence < SURE_CONFIDENCE:
            return False
        words = result.text.split()
        latest = [*self._latest, *words]
        monotone = len(set(latest)) == 1
        if final:
            self._latest = (latest if monotone else words)[-MONOTONE_WORDS:]
        return bool(words) and not (monotone and len(latest) >= MONOTONE_WORDS)

    def snapshot(self) -> list[str]:
        """What it remembers of the finals."""
        return self._latest

    def restore(self, snapshot: list[str]) -> None:
        """Go on from there."""
        self._latest = list(snapshot)
