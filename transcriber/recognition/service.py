"""How the tracks of one stream are recognised: by which model, with which options, and what cannot be granted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from transcriber.recognition.load_monitor import RecognitionLoad
from transcriber.recognition.model_registry import ModelRegistry
from transcriber.recognition.options import UNKNOWN, RecognitionOptions, RecognitionRequest, parse_request
from transcriber.recognition.supervisor.loaded_model import LoadedModel
from transcriber.recognition.supervisor.track_queue import OnFailure, OnResults, TrackQueue
from transcriber.settings.endpoint_limits import ENDPOINT_MS
from transcriber.telephony.outcomes import StreamFault, StreamRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRecognition:
    """What a session recognises its tracks with. `unknown_words`: of its grammar and hints, not known to the model."""

    model: LoadedModel
    options: RecognitionOptions
    faults: tuple[StreamFault, ...] = ()
    unknown_words: tuple[str, ...] = ()

    def track_queue(self, on_results: OnResults, on_failure: OnFailure = lambda error: None) -> TrackQueue:
        """For one track, see `LoadedModel.open`."""
        return self.model.open(self.options, on_results, on_failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionService:
    """The models of a server, and how it recognises unless a call asks for something else.

    `strict`: a stream that asks for a model or language that is not here is refused, not recognised with another.
    """

    models: ModelRegistry
    load: RecognitionLoad
    vad_enabled: bool = True
    endpoint_ms: int = ENDPOINT_MS
    strict: bool = False

    async def open_stream(self, parameters: Mapping[str, str]) -> StreamRecognition | StreamRefused:
        """For a stream with these custom parameters. May load a model."""
        request, faults = parse_request(parameters, endpoint_ms=self.endpoint_ms)
        model, fallback = await self.models.choose(model=request.model, language=request.language)
        if fallback is not None and self.strict:
            return StreamRefused(1008, fallback.message.split(";")[0])
        if fallback is not None:
            faults.append(fallback)
        if "endpoint_ms" in parameters and not self.vad_enabled:
            faults.append(
                StreamFault("endpoint_ms_unsupported", "the speech gate is off: the model ends utterances itself")
            )
        request, unknown = await _granted(request, model, faults)
        if request.grammar:
            model = await self.models.for_grammar(model)
        options = RecognitionOptions(
            partials=request.partials,
            vad_enabled=self.vad_enabled,
            endpoint_ms=request.endpoint_ms,
            grammar=request.grammar,
            hints=request.hints,
        )
        return StreamRecognition(model=model, options=options, faults=tuple(faults), unknown_words=unknown)


async def _granted(
    request: RecognitionRequest, model: LoadedModel, faults: list[StreamFault]
) -> tuple[RecognitionRequest, tuple[str, ...]]:
    """The request with a grammar that the model can follow, or none; and the words it does not know."""
    asked = tuple(phrase.lower() for phrase in request.grammar)
    grammar = tuple(phrase for phrase in asked if phrase != UNKNOWN)  # which stands in every grammar
    words = dict.fromkeys(word for phrase in grammar + request.hints for word in phrase.lower().split())
    unknown = await model.unknown(list(words))
    if asked and not model.info.takes_grammar:
        faults.append(
            StreamFault(
                "grammar_unsupported", f"model {model.info.name!r} has a fixed graph and takes no grammar; not used"
            )
        )
        asked = grammar = ()
    known = tuple(phrase for phrase in grammar if not set(phrase.split()) & set(unknown))
    if asked and not known:
        faults.append(
            StreamFault("grammar_invalid", f"model {model.info.name!r} knows no phrase of the grammar; not used")
        )
    elif len(known) < len(grammar):
        left_out = ", ".join(sorted(set(grammar) - set(known)))
        faults.append(
            StreamFault("grammar_words_unknown", f"phrases with words unknown to the model are left out: {left_out}")
        )
    return replace(request, grammar=known), unknown
