"""The partials of one track as they are published, whatever becomes of the workers that make them. Pure.

A worker that takes a track over hears the running utterance again, in other turns: its partials are numbered from one
again and some say what was said before.
"""

from msgspec.structs import replace

from transcriber.recognition.results import FinalResult, PartialResult


class PartialSequence:
    """Of one track."""

    def __init__(self) -> None:
        self._latest: PartialResult | None = None
        """Of the running utterance."""

    def next(self, result: PartialResult | FinalResult, *, replaying: bool) -> PartialResult | FinalResult | None:
        """The result to be published, None if there is nothing new in it.

        `replaying`: its audio was heard before, so that a partial can only say less than one before.
        """
        if isinstance(result, FinalResult):
            self._latest = None
            return result
        latest = self._latest if self._latest and self._latest.utterance == result.utterance else None
        if (replaying and result.text) or result.text == (latest.text if latest else ""):
            return None
        revision, stable = 1, result.stable
        if latest is not None:
            revision = latest.revision + 1
            kept = latest.text.split()[: latest.stable]
            if result.text.split()[: len(kept)] == kept:
                stable = max(stable, len(kept))
        self._latest = replace(result, revision=revision, stable=stable)
        return self._latest
