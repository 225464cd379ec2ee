"""A decoder that goes on from a checkpoint says what the one before it would have said."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.speech import mulaw_tracks, needs_speech, telephone_files
from transcriber.audio import sample_calls
from transcriber.audio.chunk import PCM_BYTES_PER_SAMPLE, PCM_RATE_HZ, SAMPLE_RATE_HZ, SAMPLES_PER_MS, AudioChunk
from transcriber.audio.g711 import compress
from transcriber.audio.upsampling import upsample
from transcriber.audio.wav import read_recording
from transcriber.events.schema import Word
from transcriber.recognition import pcm_chunker
from transcriber.recognition.checkpoint import decode, encode
from transcriber.recognition.fed_audio import ADAPTATION_SAMPLES, CONTEXT_SAMPLES, UNKNOWN_EVERY
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.ports import Bookmark
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.results import FinalResult, Hypothesis, PartialResult
from transcriber.recognition.scripted_engine import ScriptedEngine
from transcriber.recognition.track_decoder import CHECKPOINT_SAMPLES, TrackDecoder
from transcriber.recognition.vad import VadSnapshot
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.recognition.warm_up_speech import warm_speech

Turn = tuple[list[AudioChunk], bool]
Told = tuple[list[PartialResult | FinalResult], bool, int]
MAX_CHECKPOINT_BYTES = 200_000
"""Where the chunks of a model are not known; with those of the demo model a quarter of it."""


def decoded(
    pools: Sequence[RecognizerPool], options: RecognitionOptions, turns: Sequence[Turn], *, resume: bool
) -> tuple[list[Told], int]:
    """What is told turn by turn, and how many checkpoints there were; with `resume` each goes on in another pool."""
    decoder, number, told = TrackDecoder(pools[0], options), 0, []
    for at, (chunks, ends) in enumerate(turns):
        last = at == len(turns) - 1
        results = decoder.feed(chunks, last=last, end_utterance=ends)
        told.append((list(results), decoder.utterance_open, decoder.due_samples))
        checkpoint = None if last else decoder.checkpoint()
        if checkpoint is not None:
            number += 1
            assert len(checkpoint) < MAX_CHECKPOINT_BYTES
            if resume:
                decoder.give_up()
                decoder = TrackDecoder(pools[number % len(pools)], options, checkpoint)
    return told, number


def cut(mulaw: bytes, size: int, start: int = 0) -> list[Turn]:
    return [([AudioChunk("inbound", mulaw[at : at + size], start + at)], False) for at in range(0, len(mulaw), size)]


def finals(told: Sequence[Told]) -> list[FinalResult]:
    return [item for results, _, _ in told for item in results if isinstance(item, FinalResult)]


@pytest.fixture(scope="module")
def pools(vosk_engine: VoskEngine) -> list[RecognizerPool]:
    """Whose recognizers have heard other tracks before."""
    made = [RecognizerPool(vosk_engine, keep=2) for _ in range(3)]
    for pool in made:
        pool.warm(2, warm_speech())
    return made


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"vad_enabled": False},
        {"endpoint_ms": 1200},
        {"partials": False},
        {"hints": ("Grafana", "repair department")},
    ],
)
def test_a_sample_call_is_told_to_the_last_word(
    pools: list[RecognizerPool], sample: dict[str, bytes], options: dict[str, Any]
) -> None:
    chosen, size = RecognitionOptions(**options), 1600
    for mulaw in sample.values():
        expected, _ = decoded(pools[:1], chosen, cut(mulaw, size), resume=False)
        told, checkpoints = decoded(pools, chosen, cut(mulaw, size), resume=True)
        assert checkpoints > 1
        assert finals(told) == finals(expected)
        assert len(finals(told)) > 1
        assert [each[1:] for each in told] == [each[1:] for each in expected]


def test_a_grammar_goes_on(vosk_engine: VoskEngine, sample: dict[str, bytes]) -> None:
    pools = [RecognizerPool(vosk_engine, keep=1) for _ in range(2)]
    chosen = RecognitionOptions(grammar=("hello", "wrong department", "thank you"))
    expected, _ = decoded(pools[:1], chosen, cut(sample["inbound"], 1600), resume=False)
    told, checkpoints = decoded(pools, chosen, cut(sample["inbound"], 1600), resume=True)
    assert checkpoints > 1
    assert finals(told) == finals(expected) != []


def test_both_begin_anew_at_the_same_moment(
    pools: list[RecognizerPool], sample: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself the library would after ten minutes, by its own count."""
    monkeypatch.setattr(pcm_chunker, "RESTART_SAMPLES", 10 * SAMPLE_RATE_HZ)
    for vad_enabled in (True, False):
        chosen = RecognitionOptions(vad_enabled=vad_enabled)
        turns = cut(b"".join(sample.values()), 1600)
        expected, _ = decoded(pools[:1], chosen, turns, resume=False)
        told, checkpoints = decoded(pools, chosen, turns, resume=True)
        assert checkpoints > 4
        assert finals(told) == finals(expected) != []
        assert [each[1:] for each in told] == [each[1:] for each in expected]


def test_a_recognizer_begins_anew_without_a_word_of_what_was_before(vosk_engine: VoskEngine) -> None:
    used, new = vosk_engine.create(), vosk_engine.create()
    speech = SPEECH[: 10 * SAMPLE_RATE_HZ]
    pcm, fed_ms = upsample(speech, "telephone"), 10_000
    used.accept(pcm)
    used.result()
    assert used.bookmark() == (fed_ms,)
    used.finish()
    used.resume(b"", (fed_ms,))
    for recognizer in (used, new):
        recognizer.accept(pcm)
    expected = new.result()
    assert expected.words
    heard = used.result().words
    moved = [replace(word, start_ms=word.start_ms - fed_ms, end_ms=word.end_ms - fed_ms) for word in heard]
    assert moved == list(expected.words)


SPEECH = read_recording(sample_calls.path("08_short_wrong_department")).tracks["inbound"]


def sound(kind: str, samples: int) -> bytes:
    at = np.arange(samples) / SAMPLE_RATE_HZ
    match kind:
        case "tone":
            return compress((6000 * np.sin(2 * np.pi * 440 * at)).astype(np.int16))
        case "noise":
            return compress(np.random.default_rng(samples).normal(0, 900, samples).astype(np.int16))
        case "speech":
            return SPEECH[SAMPLE_RATE_HZ : SAMPLE_RATE_HZ + samples]
    return b"\xff" * samples


LEFT_BYTES = PCM_BYTES_PER_SAMPLE * CONTEXT_SAMPLES


class Hashing:
    """A recognizer whose words are made of the very samples that it is fed, and that ends an utterance after 3 s.

    The first word depends on what it was fed before the utterance, too.
    """

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._left = b""
        self._before_ms = 0.0

    def accept(self, pcm: bytes) -> bool:
        self._pcm += pcm
        return len(self._pcm) > 6 * PCM_RATE_HZ

    def partial(self, *, settled: bool) -> Hypothesis:
        return Hypothesis(" ".join(word.word for word in self._words()))

    def result(self) -> Hypothesis:
        words = self._words()
        self._before_ms += len(self._pcm) / (2 * PCM_RATE_HZ) * 1000
        self._left = (self._left + self._pcm)[-LEFT_BYTES:]
        self._pcm.clear()
        return Hypothesis(" ".join(word.word for word in words), words)

    def bookmark(self) -> Bookmark:
        return (self._before_ms,)

    def resume(self, context: bytes, bookmark: Bookmark) -> None:
        whole = CONTEXT_SAMPLES + UNKNOWN_EVERY + ADAPTATION_SAMPLES
        assert len(context) <= PCM_BYTES_PER_SAMPLE * whole
        [self._before_ms] = bookmark
        left_out = round(self._before_ms * SAMPLES_PER_MS) - len(context) // PCM_BYTES_PER_SAMPLE
        assert left_out % UNKNOWN_EVERY == 0
        self._left = context[-LEFT_BYTES:]

    def finish(self) -> Hypothesis:
        last = self.result()
        self._before_ms = 0.0
        self._left = b""
        return last

    def _words(self) -> tuple[Word, ...]:
        size = PCM_RATE_HZ // 2
        whole = range(0, len(self._pcm) - size + 1, size)
        spoken = [f"w{zlib.crc32((b'' if at else self._left) + self._pcm[at : at + size])}" for at in whole]
        ends = [round(self._before_ms + 250 * (number + 1)) for number in range(len(spoken))]
        return tuple(Word(word, end - 250, end, 1.0) for word, end in zip(spoken, ends, strict=True))


class HashingEngine(ScriptedEngine):
    """Makes them."""

    def __init__(self, *, adapts: bool) -> None:
        super().__init__()
        self.adapts = adapts

    def create(self, grammar: Sequence[str] = ()) -> Hashing:  # type: ignore[override]
        return Hashing()


SCRIPT = ("one two three four", "five", "six seven eight nine ten eleven twelve thirteen fourteen")
pieces = st.tuples(
    st.sampled_from(["silence", "tone", "noise", "speech"]),
    st.integers(1, 6 * SAMPLE_RATE_HZ),
    st.sampled_from([0, 0, 0, 7, 500, 30_000]),
    st.booleans(),
)


@settings(max_examples=60)
@given(played=st.lists(pieces, min_size=1, max_size=8), size=st.integers(100, 8000), vad_enabled=st.booleans())
def test_odd_audio_is_told_turn_by_turn(
    played: list[tuple[str, int, int, bool]], size: int, *, vad_enabled: bool
) -> None:
    turns: list[Turn] = []
    position = 0
    for kind, samples, gap, ends in played:
        turns += cut(sound(kind, samples), size, position + gap)
        position += gap + samples
        turns.append(([], ends))
    chosen = RecognitionOptions(vad_enabled=vad_enabled)
    for engine in (HashingEngine(adapts=False), HashingEngine(adapts=True), ScriptedEngine(SCRIPT)):
        pools = [RecognizerPool(engine, keep=1) for _ in range(2)]
        expected, _ = decoded(pools[:1], chosen, turns, resume=False)
        told, _ = decoded(pools, chosen, turns, resume=True)
        assert told == expected


def test_a_silent_track_has_a_checkpoint_now_and_then(pools: list[RecognizerPool]) -> None:
    minute = cut(b"\xff" * 60 * SAMPLE_RATE_HZ, 1600)
    _, checkpoints = decoded(pools, RecognitionOptions(), minute, resume=True)
    assert checkpoints == 60 * SAMPLE_RATE_HZ // CHECKPOINT_SAMPLES - 1


@pytest.mark.parametrize("damage", [b"", b"\x80", b"\x92\x80\x80", b"\xc1", b"\x92\x01\x93\xc4\x00\x90\x00"])
def test_what_is_no_checkpoint_is_an_error(damage: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        TrackDecoder(RecognizerPool(ScriptedEngine(), keep=1), RecognitionOptions(), damage)


def whole_checkpoint() -> bytes:
    decoder = TrackDecoder(RecognizerPool(ScriptedEngine(), keep=1), RecognitionOptions())
    latest = b""
    for chunks, _ in cut(SPEECH, 8000):
        decoder.feed(chunks, last=False)
        latest = decoder.checkpoint() or latest
    return latest


WHOLE = whole_checkpoint()


@settings(max_examples=200)
@given(at=st.integers(0, len(WHOLE) - 1), replaced=st.binary(min_size=1, max_size=8))
def test_a_damaged_checkpoint_is_an_error(at: int, replaced: bytes) -> None:
    broken = WHOLE[:at] + replaced + WHOLE[at + len(replaced) :]
    assume(broken != WHOLE)
    with pytest.raises(ValueError, match="damaged"):
        TrackDecoder(RecognizerPool(ScriptedEngine(), keep=1), RecognitionOptions(), broken)


@given(st.binary(max_size=200))
def test_any_bytes_with_their_checksum_are_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(zlib.crc32(data).to_bytes(4, "little") + data, "scripted")


def test_a_checkpoint_of_something_else_is_an_error() -> None:
    engine = ScriptedEngine()
    pool = RecognizerPool(engine, keep=1)
    with pytest.raises(ValueError, match="voice activity"):
        TrackDecoder(pool, RecognitionOptions(vad_enabled=False), WHOLE)
    checkpoint = decode(WHOLE, engine.model)
    with pytest.raises(ValueError, match="format 0"):
        decode(encode(replace(checkpoint, format=0)), engine.model)
    with pytest.raises(ValueError, match="model 'scripted'"):
        decode(WHOLE, "another")
    engine.band = "wide"
    with pytest.raises(ValueError, match="another band"):
        TrackDecoder(pool, RecognitionOptions(), WHOLE)
    short = VadSnapshot(checkpoint.vad.memory[:-4], strict=False)
    engine.band = "telephone"
    with pytest.raises(ValueError, match="voice activity detector"):
        TrackDecoder(pool, RecognitionOptions(), encode(replace(checkpoint, vad=short)))


@needs_speech
@pytest.mark.speech
@pytest.mark.timeout(900)
def test_recordings_are_told_as_without_a_death(pools: list[RecognizerPool]) -> None:
    """On the longest ones the library's search itself depends on how large its tables have grown."""
    chosen, alike, tracks, words, others = RecognitionOptions(), 0, 0, 0, 0
    for path in telephone_files():
        for mulaw in mulaw_tracks(path):
            expected = finals(decoded(pools[:1], chosen, cut(mulaw, 1600), resume=False)[0])
            told = finals(decoded(pools, chosen, cut(mulaw, 1600), resume=True)[0])
            tracks, alike = tracks + 1, alike + ([item.text for item in told] == [item.text for item in expected])
            pairs = zip(told, expected, strict=True)
            words += sum(len(item.words) for item in expected)
            others += sum(one.text != other.text for one, other in pairs)
    assert tracks > 200
    assert alike >= tracks - 4
    assert others <= words / 300
