"""Who speaks on a track: the label that a stream of the call gave, or else the default."""

from collections import OrderedDict

from transcriber.telephony.twilio.messages import Start

DEFAULTS = {"inbound": "caller", "outbound": "agent"}
MOST_CALLS = 10_000
"""So many calls' labels are remembered; those labelled longest ago are forgotten."""


class SpeakerLabels:
    """The labels of this server's calls, for streams that come later and give none."""

    def __init__(self) -> None:
        self._labels: OrderedDict[str, dict[str, str]] = OrderedDict()

    def of(self, start: Start) -> dict[str, str]:
        """The speakers of a stream by track."""
        known = self._labels.get(start.call_sid, {})
        given = {track: label for track in DEFAULTS if (label := _label(start, track))}
        if given:
            known = self._labels[start.call_sid] = known | given
            self._labels.move_to_end(start.call_sid)
            if len(self._labels) > MOST_CALLS:
                self._labels.popitem(last=False)
        return {track: known.get(track, DEFAULTS[track]) for track in start.tracks}


def _label(start: Start, track: str) -> str:
    """What was asked for, if there is anything of it to see."""
    label = start.parameters.get(f"{track}_label", "").strip()
    return label if any(letter.isprintable() for letter in label) else ""
