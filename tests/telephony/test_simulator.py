"""The caller: wav files of every kind, Twilio's message types, the upgrade request, trouble with the server."""

import asyncio
import base64
import json
import struct
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp.test_utils import TestServer

from tests.phone import Phone
from tests.recording_server import RecordingServer
from transcriber.audio import sample_calls
from transcriber.audio.g711 import MULAW, compress
from transcriber.audio.wav import Recording, read_recording
from transcriber.errors import AudioFileError, ServerUnreachable
from transcriber.telephony.simulator import CallIds, Frame, MessageBuilder, Target, dial, frames
from transcriber.telephony.twilio.signature import compute

Serve = Callable[[Any], Awaitable[TestServer]]
TONE = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000) * 0.5


def wav(
    tag: int,
    bits: int,
    data: bytes,
    *,
    channels: int = 1,
    rate: int = 8000,
    size: int | None = None,
    extensible: bool = False,
    before: bytes = b"",
) -> bytes:
    """A wav file's bytes; `size` lies about the data chunk's, `before` are chunks ahead of it."""
    width = channels * bits // 8
    head = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * width, width, bits)
    if extensible:
        head += struct.pack("<HHIH", 22, bits, 0, tag) + bytes.fromhex("000000001000800000aa00389b71")
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head + before
    return b"RIFF\0\0\0\0" + body + b"data" + struct.pack("<I", len(data) if size is None else size) + data


def pcm(samples: np.ndarray[Any, Any], bits: int) -> bytes:
    """Samples of -1..1 as little-endian PCM."""
    whole = np.round(samples * (2 ** (bits - 1) - 1)).astype(np.int64)
    if bits == 8:
        return bytes((whole + 128).astype(np.uint8))
    return b"".join(int(sample).to_bytes(bits // 8, "little", signed=True) for sample in whole)


def write(folder: Path, content: bytes, name: str = "call.wav") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def loudness_of_difference(track: bytes, expected: np.ndarray[Any, Any]) -> float:
    """The difference from samples of -1..1, as a share of full scale (root mean square)."""
    heard = MULAW[np.frombuffer(track, np.uint8)] / 32768
    return float(np.sqrt(np.mean((heard[: len(expected)] - expected) ** 2)))


def g711_mulaw(code: int) -> int:
    """ITU-T G.711, table 2b, from its decision values: the 16-bit value of a code."""
    bits = ~code & 0xFF
    value = ((2 * (bits & 0x0F) + 33) << ((bits >> 4) & 7)) - 33
    return -4 * value if bits & 0x80 else 4 * value


def test_the_encoder_inverts_the_g711_table() -> None:
    values = np.array([g711_mulaw(code) for code in range(256)], np.int16)
    codes = compress(values)
    # 0x7F is a second zero, which G.711 writes as 0xFF.
    assert codes == bytes(0xFF if code == 0x7F else code for code in range(256))


def test_the_encoder_is_within_half_a_step_everywhere() -> None:
    samples = np.arange(-32636, 32637, dtype=np.int32)
    codes = np.frombuffer(compress(samples.astype(np.int16)), np.uint8)
    values = np.array([g711_mulaw(code) for code in range(256)])[codes]
    step = 8 << ((~codes.astype(np.int32) >> 4) & 7)
    assert np.all(np.abs(values - samples) <= step / 2)
    loudest = compress(np.array([-32768, 32767], np.int16))
    assert loudest == b"\x00\x80"


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("extensible", [False, True])
def test_pcm_of_every_width(tmp_path: Path, bits: int, extensible: bool) -> None:
    path = write(tmp_path, wav(1, bits, pcm(TONE, bits), extensible=extensible))
    recording = read_recording(path)
    assert list(recording.tracks) == ["inbound"]
    assert recording.duration_s == 1.0
    assert loudness_of_difference(recording.tracks["inbound"], TONE) < 0.01


@pytest.mark.parametrize("kind", ["<f4", "<f8"])
def test_float_is_clipped_and_holes_are_silence(tmp_path: Path, kind: str) -> None:
    samples = TONE.copy()
    samples[0], samples[1], samples[2] = np.nan, 4.0, np.inf
    data = samples.astype(kind).tobytes()
    track = read_recording(write(tmp_path, wav(3, 8 * int(kind[2]), data))).tracks["inbound"]
    assert [int(value) for value in MULAW[np.frombuffer(track[:3], np.uint8)]] == [0, 32124, 32124]
    assert loudness_of_difference(track[3:], TONE[3:]) < 0.01


def test_mulaw_at_8_khz_is_passed_untouched(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4
    stereo = read_recording(write(tmp_path, wav(7, 8, data, channels=2)))
    assert stereo.tracks == {"inbound": data[::2], "outbound": data[1::2]}


def test_alaw(tmp_path: Path) -> None:
    # G.711, table 1b: the smallest values, the largest ones, one in the middle; codes as on the wire.
    codes, values = [0xD5, 0x55, 0xAA, 0x2A, 0x80], [8, -8, 32256, -32256, 5504]
    track = read_recording(write(tmp_path, wav(6, 8, bytes(codes)))).tracks["inbound"]
    assert track == compress(np.array(values, np.int16))


@pytest.mark.parametrize("rate", [11_025, 16_000, 44_100, 48_000])
def test_any_rate_becomes_8_khz(tmp_path: Path, rate: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate) * 0.5
    recording = read_recording(write(tmp_path, wav(1, 16, pcm(tone, 16), rate=rate)))
    assert recording.duration_s == pytest.approx(1.0, abs=0.001)
    assert loudness_of_difference(recording.tracks["inbound"][200:7800], TONE[200:7800]) < 0.01


def test_stereo_left_is_inbound(tmp_path: Path) -> None:
    both = np.column_stack([TONE, np.zeros(8000)]).reshape(-1)
    recording = read_recording(write(tmp_path, wav(1, 16, pcm(both, 16), channels=2)))
    assert loudness_of_difference(recording.tracks["inbound"], TONE) < 0.01
    assert set(recording.tracks["outbound"]) == {0xFF}


def test_two_files_are_the_two_sides_of_one_length(tmp_path: Path) -> None:
    first = write(tmp_path, wav(7, 8, b"\x10" * 400), "in.wav")
    second = write(tmp_path, wav(7, 8, b"\x20" * 100), "out.wav")
    assert read_recording(first, second).tracks == {"inbound": b"\x10" * 400, "outbound": b"\x20" * 100 + b"\xff" * 300}
    stereo = write(tmp_path, wav(7, 8, b"\x10" * 400, channels=2), "both.wav")
    with pytest.raises(AudioFileError, match="each must be mono"):
        read_recording(first, stereo)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_data_sizes_of_streaming_tools(tmp_path: Path, size: int) -> None:
    path = write(tmp_path, wav(7, 8, b"\x10" * 160, size=size, before=b"LIST\x05\0\0\0hello\0"))
    assert read_recording(path).tracks["inbound"] == b"\x10" * 160


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a wav file"),
        (b"ID3 something else entirely", "not a wav file"),
        (wav(7, 8, b""), "holds no audio"),
        (wav(1, 16, b"\0"), "holds no audio"),
        (wav(7, 8, b"\0" * 60, channels=6), "has 6 channels"),
        (wav(7, 8, b"\0" * 60, channels=0), "has 0 channels"),
        (wav(0x55, 8, b"\0" * 60), "format 0x55"),
        (wav(1, 12, b"\0" * 60), "12 bits"),
        (wav(7, 8, b"\0" * 60, rate=0), "sample rate of 0"),
        (wav(7, 8, b"\0" * 60)[:40], "no data chunk"),
        (b"RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd", "audio comes before its format"),
        (b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0abcd", "too short"),
    ],
)
def test_files_that_cannot_be_played(tmp_path: Path, content: bytes, says: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(AudioFileError, match=says) as caught:
        read_recording(path)
    assert str(path) in str(caught.value)


def test_absent_files(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="cannot be read"):
        read_recording(tmp_path / "nowhere.wav")
    with pytest.raises(AudioFileError, match="cannot be read"):
        read_recording(tmp_path)


def test_the_sample_calls_have_two_tracks_and_what_is_said_in_them() -> None:
    assert sample_calls.DEFAULT in sample_calls.names()
    for name in sample_calls.names():
        path = sample_calls.path(name)
        recording, turns = read_recording(path), sample_calls.reference(path)
        assert list(recording.tracks) == ["inbound", "outbound"]
        assert turns is not None
        assert {turn.track for turn in turns} == {"inbound", "outbound"}
        assert max(turn.end_ms for turn in turns) <= recording.duration_s * 1000


def test_a_json_file_about_something_else_is_no_reference(tmp_path: Path) -> None:
    assert sample_calls.reference(tmp_path / "call.wav") is None
    for content in ("{}", "[1]", "nonsense", '{"turns": [{"track": "inbound"}]}'):
        (tmp_path / "call.json").write_text(content)
        assert sample_calls.reference(tmp_path / "call.wav") is None


def test_frames_take_turns_and_the_last_is_filled() -> None:
    recording = Recording({"inbound": b"\x01" * 200, "outbound": b"\x02" * 200})
    assert list(frames(recording)) == [
        Frame("inbound", 0, b"\x01" * 160),
        Frame("outbound", 0, b"\x02" * 160),
        Frame("inbound", 20, b"\x01" * 40 + b"\xff" * 120),
        Frame("outbound", 20, b"\x02" * 40 + b"\xff" * 120),
    ]
    assert [frame.track for frame in frames(recording, tracks=["outbound"], frame_ms=10)] == ["outbound"] * 3


def parsed(messages: Sequence[str]) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages]


def test_messages_are_typed_as_twilio_types_them() -> None:
    ids = CallIds(account="AC" + "0" * 32, call="CA" + "1" * 32, stream="MZ" + "2" * 32)
    messages = MessageBuilder(ids, ["inbound", "outbound"], parameters={"tenant": "t-17"})
    connected, start, media, other, dtmf, mark, stop = parsed(
        [
            messages.connected(),
            messages.start(),
            messages.media(Frame("inbound", 0, b"\xff" * 160)),
            messages.media(Frame("outbound", 0, b"\x7f" * 160)),
            messages.dtmf("5"),
            messages.mark("utt-7"),
            messages.stop(),
        ]
    )
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start == {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": ids.stream,
        "start": {
            "accountSid": ids.account,
            "streamSid": ids.stream,
            "callSid": ids.call,
            "tracks": ["inbound", "outbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"tenant": "t-17"},
        },
    }
    payload = base64.b64encode(b"\xff" * 160).decode()
    assert media == {
        "event": "media",
        "sequenceNumber": "2",
        "streamSid": ids.stream,
        "media": {"track": "inbound", "chunk": "1", "timestamp": "132", "payload": payload},
    }
    assert (other["sequenceNumber"], other["media"]["chunk"]) == ("3", "1")
    assert (dtmf["sequenceNumber"], dtmf["dtmf"]) == ("4", {"track": "inbound_track", "digit": "5"})
    assert (mark["sequenceNumber"], mark["mark"]) == ("5", {"name": "utt-7"})
    assert (stop["sequenceNumber"], stop["stop"]) == ("6", {"accountSid": ids.account, "callSid": ids.call})


def test_random_sids_look_like_twilios() -> None:
    first, second = CallIds(), CallIds()
    assert first.call != second.call
    for sid, kind in ((first.account, "AC"), (first.call, "CA"), (first.stream, "MZ")):
        assert sid.startswith(kind)
        assert len(bytes.fromhex(sid[2:])) == 16


async def test_the_upgrade_request_is_twilios(aiohttp_server: Serve) -> None:
    recording_server = RecordingServer()
    server = await aiohttp_server(recording_server.app())
    target = Target(
        url=str(server.make_url("/")), auth_token="12345", public_url="https://media.example.net/in/", api_key="k"
    )
    await dial(target, Recording({"inbound": b"\xff" * 1600}), ids=CallIds(), speed=0)
    headers = {name.lower(): value for name, value in recording_server.headers[0].items()}
    assert headers.pop("x-twilio-signature") == compute("12345", "wss://media.example.net/in/v1/media")
    assert headers.pop("authorization") == "Bearer k"
    assert headers["user-agent"] == "Twilio.TmeWs/1.0"
    assert headers["accept-encoding"] == "gzip"
    assert set(headers) == {
        "host",
        "user-agent",
        "accept-encoding",
        "connection",
        "upgrade",
        "sec-websocket-version",
        "sec-websocket-key",
    }


async def test_a_whole_call(aiohttp_server: Serve) -> None:
    recording_server = RecordingServer()
    server = await aiohttp_server(recording_server.app())
    positions: list[int] = []
    recording = Recording({"inbound": bytes(range(240)) * 4, "outbound": b"\xff" * 960})
    target = Target(url=str(server.make_url("/v1/media")))
    await dial(target, recording, ids=CallIds(), speed=0, on_position=positions.append)
    assert positions == [20, 40, 60, 80, 100, 120]
    assert [message["event"] for message in recording_server.received] == [
        "connected",
        "start",
        *["media"] * 12,
        "stop",
    ]
    assert [m["sequenceNumber"] for m in recording_server.received[1:]] == [str(n) for n in range(1, 15)]
    inbound = [m["media"] for m in recording_server.of_kind("media") if m["media"]["track"] == "inbound"]
    assert [m["timestamp"] for m in inbound] == [str(132 + 20 * n) for n in range(6)]
    assert b"".join(base64.b64decode(m["payload"]) for m in inbound) == bytes(range(240)) * 4


async def test_pace_follows_the_clock(aiohttp_server: Serve) -> None:
    server = await aiohttp_server(RecordingServer().app())
    loop = asyncio.get_running_loop()
    began = loop.time()
    target = Target(url=str(server.make_url("/")))
    await dial(target, Recording({"inbound": b"\xff" * 8000}), ids=CallIds(), speed=5)
    assert 0.2 <= loop.time() - began < 2


async def test_hanging_up_early_ends_in_order(aiohttp_server: Serve) -> None:
    recording_server, hang_up = RecordingServer(), asyncio.Event()
    server = await aiohttp_server(recording_server.app())

    def watch(at_ms: int) -> None:
        if at_ms == 100:
            hang_up.set()

    recording = Recording({"inbound": b"\xff" * 80_000})
    target = Target(url=str(server.make_url("/")))
    await dial(target, recording, ids=CallIds(), speed=0, on_position=watch, hang_up=hang_up)
    assert len(recording_server.of_kind("media")) == 5
    assert recording_server.received[-1]["event"] == "stop"


async def test_a_refusal_says_what_the_server_says(aiohttp_server: Serve) -> None:
    recording_server = RecordingServer(
        refuse_with=(403, {"error": {"code": "forbidden", "message": "the signature does not match"}})
    )
    server = await aiohttp_server(recording_server.app())
    with pytest.raises(ServerUnreachable, match="refused the call: 403 the signature does not match"):
        await dial(Target(url=str(server.make_url("/"))), Recording({"inbound": b"\xff"}), ids=CallIds())


async def test_no_server(unused_tcp_port_factory: Callable[[], int]) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port_factory()}"
    with pytest.raises(ServerUnreachable, match="start `transcriber serve`"):
        await dial(Target(url=url), Recording({"inbound": b"\xff"}), ids=CallIds())


@pytest.mark.parametrize("at_start", [True, False])
async def test_a_close_code_other_than_1000_is_an_error(aiohttp_server: Serve, at_start: bool) -> None:
    server = await aiohttp_server(RecordingServer(close_code=1013, close_at_start=at_start).app())
    recording = Recording({"inbound": b"\xff" * 800_000})
    with pytest.raises(ServerUnreachable, match="close code 1013 as the test wishes"):
        await dial(Target(url=str(server.make_url("/"))), recording, ids=CallIds(), speed=0)


async def test_the_phone_makes_the_trouble_it_is_told_to(aiohttp_server: Serve) -> None:
    recording_server = RecordingServer()
    server = await aiohttp_server(recording_server.app())
    phone = Phone(str(server.make_url("/")))
    recording = Recording({"inbound": b"\xff" * 160 * 12})
    async with phone.call(recording, parameters={"tenant": "t"}) as call:
        await call.play(40)
        await call.drop(40)
        await call.repeat(20)
        await call.reorder(40)
        async with call.stall(40):
            await call.press("7")
        await call.play()
        assert await call.hang_up() == 1000
        assert call.close_code == 1000
    media = recording_server.of_kind("media")
    assert [int(m["media"]["timestamp"]) - 132 for m in media] == [0, 20, 80, 80, 120, 100, 140, 160, 180, 200, 220]
    assert [int(m["sequenceNumber"]) for m in media] == [2, 3, 4, 4, 6, 5, 7, 8, 10, 11, 12]
    assert recording_server.of_kind("dtmf")[0]["sequenceNumber"] == "9"
    assert recording_server.of_kind("start")[0]["start"]["customParameters"] == {"tenant": "t"}


async def test_the_phone_can_end_without_stop(aiohttp_server: Serve) -> None:
    recording_server = RecordingServer()
    server = await aiohttp_server(recording_server.app())
    phone = Phone(str(server.make_url("/")))
    async with phone.call(tracks=["outbound"], frame_ms=100) as call:
        await call.play(200)
        assert await call.hang_up(stop=False) == 1000
    async with phone.call() as cut:
        await cut.play(200)
        await cut.cut()
        assert cut.close_code == 1006
    await asyncio.wait_for(recording_server.ended.wait(), 5)
    assert recording_server.of_kind("stop") == []


def test_a_media_message_is_the_json_that_a_library_would_write() -> None:
    messages = MessageBuilder(CallIds(stream='M"Z\\é'), ["inbound"])
    texts = [messages.media(Frame(track, 20, bytes(range(160)))) for track in ("inbound", 'o"ut', "aus")]
    assert [json.dumps(json.loads(text), separators=(",", ":")) for text in texts] == texts
    numbers = [(json.loads(text)["sequenceNumber"], json.loads(text)["media"]["chunk"]) for text in texts]
    assert numbers == [("1", "1"), ("2", "1"), ("3", "1")]
