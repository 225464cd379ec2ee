"""All that a track's decoder knows between two turns, as bytes: another one goes on from there.

msgpack, and its CRC-32 before it: what was damaged on its way is refused as a whole.
"""

import zlib

import msgspec

from transcriber.recognition.endpointer_state import EndpointerSnapshot, ModelEndpointerSnapshot
from transcriber.recognition.fed_audio import Recipe
from transcriber.recognition.pcm_chunker import ChunkerSnapshot
from transcriber.recognition.utterance_tracker import TrackerSnapshot
from transcriber.recognition.vad import VadSnapshot

FORMAT = 1
"""Another one, whenever a snapshot gets other fields or means something else by them."""
_CRC_BYTES = 4


class DecodingProgress(msgspec.Struct, array_like=True):
    """Where a decoder is between its endpointer and its recognizer."""

    held_over_ms: float = 0.0
    """For so long the model's own rules have held the utterance to be over."""
    look_at_ms: float = 0.0
    """Without partials: when to look at the utterance next, in milliseconds fed."""
    found_words: bool = False
    """Whether people said something since the endpointer's last EndOfUtterance."""


class Checkpoint(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """`latest_words`: of the `WordEvidence`."""

    format: int = FORMAT
    model: str
    vad: VadSnapshot
    endpointer: EndpointerSnapshot | ModelEndpointerSnapshot
    chunker: ChunkerSnapshot
    tracker: TrackerSnapshot
    latest_words: list[str]
    progress: DecodingProgress
    recipe: Recipe


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Checkpoint)


def encode(checkpoint: Checkpoint) -> bytes:
    """As bytes: 8 to 50 KB, with a model that adapts to the speaker 60 to 90 KB, most of them audio to be heard again;

    up to 200 KB where the recognizer's chunks are not known.
    """
    data = _encoder.encode(checkpoint)
    return zlib.crc32(data).to_bytes(_CRC_BYTES, "little") + data


def decode(data: bytes, model: str) -> Checkpoint:
    """What was encoded, of a track decoded by that model. Raises ValueError: it is damaged, or of something else."""
    checksum, content = data[:_CRC_BYTES], memoryview(data)[_CRC_BYTES:]
    if zlib.crc32(content).to_bytes(_CRC_BYTES, "little") != checksum:
        raise ValueError("a damaged checkpoint")
    checkpoint = _decoder.decode(content)
    if checkpoint.format != FORMAT or checkpoint.model != model:
        raise ValueError(f"a checkpoint of model {checkpoint.model!r}, format {checkpoint.format}")
    return checkpoint
