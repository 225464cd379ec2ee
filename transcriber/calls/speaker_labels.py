"""Speaker labels of tracks: what a stream of the call gave (`inbound_label`, `outbound_label`), or else the default."""

from collections import OrderedDict

from transcriber.telephony.twilio.messages import Start

DEFAULT_LABELS = {"inbound": "caller", "outbound": "agent"}
MAX_CALLS = 10_000
"""Calls whose labels are remembered; those labelled longest ago are forgotten first."""


class SpeakerLabels:
    """The labels of this server's calls, for streams that come later and give none."""

    def __init__(self) -> None:
        self._labels: OrderedDict[str, dict[str, str]] = OrderedDict()

    def of(self, start: Start) -> dict[str, str]:
        """The speakers of a stream, by track."""
        known = self._labels.get(start.call_sid, {})
        given = {track: label for track in DEFAULT_LABELS if (label := _label(start, track))}
        if given:
            known = self._labels[start.call_sid] = known | given
            self._labels.move_to_end(start.call_sid)
            if len(self._labels) > MAX_CALLS:
                self._labels.popitem(last=False)
        return {track: known.get(track, DEFAULT_LABELS[track]) for track in start.tracks}


def _label(start: Start, track: str) -> str:
    """The label that was asked for; empty if nothing of it can be seen."""
    label = start.parameters.get(f"{track}_label", "").strip()
    return label if any(letter.isprintable() for letter in label) else ""
