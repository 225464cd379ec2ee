"""How a track is to be recognised, and what a call asks for by its custom parameters. Pure.

What cannot be granted is a fault, never silently passed over.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from transcriber.settings.endpoint_limits import ENDPOINT_MS, MAX_ENDPOINT_MS, MIN_ENDPOINT_MS
from transcriber.telephony.outcomes import StreamFault
from transcriber.telephony.twilio.messages import clean

MAX_PHRASES = 500
_UNHEARD = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u2060\ufeff]")
"""Breaks and marks of direction are no part of a word; joiners are: some scripts write other words with them."""
UNKNOWN = "[unk]"
"""The grammar's word for anything else; without it every sound would become one of the phrases."""
SYMBOLS_BEGIN = tuple("<[{(#!%")
"""What decoders mark their own symbols with: `<eps>`, `[noise]`, `{laughter}`, `(uh)`, `#0`, `!SIL`, `%hesitation`."""
YES, NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


class RecognitionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How one track is recognised. `grammar`: nothing else can be; `hints`: phrases, see `hints.Hints`.

    Without `vad_enabled` (voice activity detection and endpointing) everything is fed, and the model's own rules end
    utterances.
    """

    partials: bool = True
    vad_enabled: bool = True
    endpoint_ms: int = ENDPOINT_MS
    grammar: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionRequest:
    """Of a call. Empty names: the server's default. `grammar`: nothing else can be recognised."""

    model: str = ""
    language: str = ""
    partials: bool = True
    endpoint_ms: int = ENDPOINT_MS
    hints: tuple[str, ...] = ()
    grammar: tuple[str, ...] = ()


def parse_request(
    parameters: Mapping[str, str], *, endpoint_ms: int = ENDPOINT_MS
) -> tuple[RecognitionRequest, list[StreamFault]]:
    """The request, and a fault for each parameter that cannot be understood. `endpoint_ms`: the server's default."""
    faults: list[StreamFault] = []
    request = RecognitionRequest(
        model=parameters.get("model", "").strip(),
        language=parameters.get("language", "").strip().lower(),
        partials=_flag(parameters, "partials", faults),
        endpoint_ms=_milliseconds(parameters, endpoint_ms, faults),
        hints=_phrases(parameters, "hints", faults),
        grammar=_phrases(parameters, "grammar", faults),
    )
    return request, faults


def _flag(parameters: Mapping[str, str], name: str, faults: list[StreamFault]) -> bool:
    value = parameters.get(name, "").strip().lower()
    if value and value not in YES + NO:
        faults.append(StreamFault(f"{name}_invalid", f"parameter {name!r} must be true or false; true is used"))
    return value not in NO


def _milliseconds(parameters: Mapping[str, str], default: int, faults: list[StreamFault]) -> int:
    value = parameters.get("endpoint_ms", "").strip()
    if not value:
        return default
    digits = value.lstrip("0")
    if re.fullmatch("[0-9]{1,9}", digits) and MIN_ENDPOINT_MS <= int(digits) <= MAX_ENDPOINT_MS:
        return int(digits)
    faults.append(
        StreamFault(
            "endpoint_ms_invalid",
            f"parameter 'endpoint_ms' must be a whole number from {MIN_ENDPOINT_MS} to {MAX_ENDPOINT_MS}; "
            f"{default} is used",
        )
    )
    return default


def _phrases(parameters: Mapping[str, str], name: str, faults: list[StreamFault]) -> tuple[str, ...]:
    """Comma-separated, or a JSON list of strings."""
    value = parameters.get(name, "").strip()
    pieces: list[str] = value.split(",")
    if value.startswith("["):
        try:
            listed = json.loads(value)
        except (ValueError, RecursionError):
            listed = None
        if not isinstance(listed, list) or not all(isinstance(piece, str) for piece in listed):
            faults.append(
                StreamFault(f"{name}_invalid", f"parameter {name!r} is neither a list of words nor JSON; not used")
            )
            return ()
        pieces = [clean(piece) for piece in listed]  # JSON has escapes for what was cleaned away around it
    spelled = (" ".join(_UNHEARD.sub("", piece).split()) for piece in pieces)
    phrases = tuple(dict.fromkeys(phrase for phrase in spelled if phrase))
    if len(phrases) > MAX_PHRASES:
        faults.append(
            StreamFault(f"{name}_invalid", f"parameter {name!r} has more than {MAX_PHRASES} phrases; cut there")
        )
    return phrases[:MAX_PHRASES]


def is_word(text: str) -> bool:
    """Whether it is written as people's words are, in any script, and not as the symbols that decoders keep for
    themselves: those lie in the same list as the words, and a grammar that names one can end the process."""
    kinds = {unicodedata.category(letter) for letter in text}
    return not text.startswith(SYMBOLS_BEGIN) and not kinds & {"Cc", "Cs", "Cn"} and any(map(str.isalnum, text))
