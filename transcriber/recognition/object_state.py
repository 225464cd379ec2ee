"""What the parts of a track's decoder have learnt so far, as bytes, and parts that go on from there. Pure.

The state of a part is all of its attributes but its configuration (what a new part of the same track is made with). New
attributes are saved without being named anywhere; one of a type that nobody thought of is an error.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from enum import Enum
from types import FunctionType, MethodType
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np

from transcriber.audio.bandwidth_extension import Network
from transcriber.audio.chunk import AudioChunk
from transcriber.recognition.chunk_schedule import ChunkSchedule
from transcriber.recognition.endpointer_parameters import EndpointerParameters
from transcriber.recognition.hints import Hints

CONFIGURATION = (FunctionType, MethodType, ChunkSchedule, EndpointerParameters, Hints, Network)
PLAIN = (bool, int, float, str, bytes, type(None))
ARRAY, CHUNK = 1, 2
"""Codes of msgpack's extensions."""


@runtime_checkable
class KeepsState(Protocol):
    """A part whose state is not in its attributes."""

    def state(self) -> bytes: ...
    def restore(self, state: bytes) -> None:
        """Raises ValueError."""


def save(parts: Mapping[str, object]) -> dict[str, Any]:
    """The state of parts, by name, as what msgpack can hold."""
    return {name: _saved(part) for name, part in parts.items() if not isinstance(part, CONFIGURATION)}


def load(parts: Mapping[str, object], saved: Any) -> None:
    """Let new parts go on from what was saved of others like them. Raises ValueError when it is not that."""
    for name, part in parts.items():
        if isinstance(part, CONFIGURATION):
            continue
        if not isinstance(saved, dict) or name not in saved:
            raise ValueError(f"no state of {name}")
        if isinstance(part, KeepsState):
            part.restore(saved[name])
        else:
            _load_attributes(part, saved[name])


def encode(value: Any) -> bytes:
    """As msgpack."""
    return msgspec.msgpack.encode(value)


def decode(data: bytes) -> Any:
    """What was encoded. Raises ValueError."""
    return msgspec.msgpack.decode(data, ext_hook=_extension)


def _saved(value: object) -> Any:
    match value:
        case Enum():
            return value.value
        case bool() | int() | float() | str() | bytes() | None:
            return value
        case bytearray():
            return bytes(value)
        case list() | tuple() | deque():
            return [_saved(item) for item in value]
        case np.ndarray():
            whole = np.ascontiguousarray(value)
            return msgspec.msgpack.Ext(ARRAY, encode((whole.dtype.str, whole.shape, whole.tobytes())))
        case AudioChunk():
            return msgspec.msgpack.Ext(CHUNK, encode((value.track, value.payload, value.start_sample)))
        case KeepsState():
            return value.state()
        case _ if type(value).__module__.startswith("transcriber."):
            return save(vars(value))
        case _:
            raise TypeError(f"a {type(value).__name__} cannot be saved")


def _extension(code: int, data: memoryview) -> Any:
    if code == CHUNK:
        return AudioChunk(*msgspec.msgpack.decode(data, type=tuple[str, bytes, int]))
    if code != ARRAY:
        raise ValueError(f"unknown extension {code}")
    kind, shape, samples = msgspec.msgpack.decode(data, type=tuple[str, tuple[int, ...], bytes])
    if kind not in ("<f8", "<i8", "|b1", "<i2"):
        raise ValueError(f"unknown samples {kind}")
    return np.frombuffer(samples, kind).reshape(shape).copy()


def _load_attributes(part: object, saved: Any) -> None:
    if not isinstance(saved, dict):
        raise ValueError(f"no state of a {type(part).__name__}")
    for name, now in vars(part).items():
        if isinstance(now, CONFIGURATION):
            continue
        if name not in saved:
            raise ValueError(f"no {name} of a {type(part).__name__}")
        if _is_part(now):
            load({name: now}, saved)
        else:
            setattr(part, name, _like(now, saved[name]))


def _is_part(value: object) -> bool:
    holds = (*PLAIN, bytearray, list, tuple, deque, np.ndarray, Enum)
    return not isinstance(value, holds)


def _like(now: object, saved: Any) -> Any:
    """The value, as the kind of thing that is there now."""
    match now:
        case Enum():
            return type(now)(saved)
        case bytearray() if isinstance(saved, bytes):
            return bytearray(saved)
        case deque() if isinstance(saved, list):
            return deque(saved, maxlen=now.maxlen)
        case tuple() if isinstance(saved, list):
            return tuple(saved)
    expected: Sequence[type] = (int, float) if isinstance(now, (int, float)) else (type(now),)
    if now is not None and saved is not None and not isinstance(saved, tuple(expected)):
        raise ValueError(f"a {type(saved).__name__} in place of a {type(now).__name__}")
    return saved
