"""How the tracks of one stream are heard: which model, which lanes, in what manner, and what was wished for in vain."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from transcriber.recognition.decode_scheduler import DecodeScheduler, TrackQueue
from transcriber.recognition.hints import Hints
from transcriber.recognition.model_registry import ModelRegistry
from transcriber.recognition.options import UNKNOWN, RecognitionOptions, RecognitionRequest, parse_request
from transcriber.recognition.ports import Engine
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.track_decoder import RecognitionResults
from transcriber.settings.endpoint_limits import ENDPOINT_MS
from transcriber.telephony.outcomes import StreamFault, StreamRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRecognition:
    """What a session opens its lanes with. `unknown_words`: of its grammar and hints, not known to the model."""

    pool: RecognizerPool
    lanes: DecodeScheduler
    manner: RecognitionOptions
    faults: tuple[StreamFault, ...] = ()
    unknown_words: tuple[str, ...] = ()

    def track_queue(self, tell: Callable[[RecognitionResults], None]) -> TrackQueue:
        """A lane for one track; `tell` is called on the event loop with what was heard, in order."""
        return self.lanes.open(self.pool, tell, manner=self.manner)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionService:
    """Lanes and models of a server, and how it hears unless a call asks for something else.

    `strict`: a stream that asks for a model or language that is not here is refused, not heard with another.
    """

    lanes: DecodeScheduler
    models: ModelRegistry
    gated: bool = True
    endpoint_ms: int = ENDPOINT_MS
    strict: bool = False

    async def open_stream(self, parameters: Mapping[str, str]) -> StreamRecognition | StreamRefused:
        """For a stream with these custom parameters. May load a model."""
        wishes, faults = parse_request(parameters, endpoint_ms=self.endpoint_ms)
        pool, missed = await self.models.choose(model=wishes.model, language=wishes.language)
        if missed is not None and self.strict:
            return StreamRefused(1008, missed.message.split(";")[0])
        if missed is not None:
            faults.append(missed)
        if "endpoint_ms" in parameters and not self.gated:
            faults.append(
                StreamFault("endpoint_ms_unsupported", "the speech gate is off: the model ends utterances itself")
            )
        wishes, unknown = _possible(wishes, pool.engine, faults)
        manner = RecognitionOptions(
            partials=wishes.partials,
            gated=self.gated,
            endpoint_ms=wishes.endpoint_ms,
            grammar=wishes.grammar,
            hints=Hints(wishes.hints),
        )
        return StreamRecognition(
            pool=pool, lanes=self.lanes, manner=manner, faults=tuple(faults), unknown_words=unknown
        )


def _possible(
    wishes: RecognitionRequest, engine: Engine, faults: list[StreamFault]
) -> tuple[RecognitionRequest, tuple[str, ...]]:
    """The wishes with a grammar the model can follow, or none; and the words it does not know."""
    asked = tuple(phrase.lower() for phrase in wishes.grammar)
    grammar = tuple(phrase for phrase in asked if phrase != UNKNOWN)  # which stands in every grammar
    words = dict.fromkeys(word for phrase in grammar + wishes.hints for word in phrase.lower().split())
    unknown = engine.unknown(words)
    if asked and not engine.takes_grammar:
        faults.append(
            StreamFault(
                "grammar_unsupported", f"model {engine.model!r} has a fixed graph and takes no grammar; not used"
            )
        )
        asked = grammar = ()
    known = tuple(phrase for phrase in grammar if not set(phrase.split()) & set(unknown))
    if asked and not known:
        faults.append(
            StreamFault("grammar_invalid", f"model {engine.model!r} knows no phrase of the grammar; not used")
        )
    elif len(known) < len(grammar):
        left_out = ", ".join(sorted(set(grammar) - set(known)))
        faults.append(
            StreamFault("grammar_words_unknown", f"phrases with words unknown to the model are left out: {left_out}")
        )
    return replace(wishes, grammar=known), unknown
