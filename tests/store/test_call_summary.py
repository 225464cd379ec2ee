"""The summary of a call: content of the hash, merged over streams."""

from msgspec.structs import replace

from tests.sample_events import (
    AT,
    STARTED_MS,
    append,
    call_ended,
    call_started,
    closed,
    dtmf,
    final,
    gap,
    lease_of,
    opened,
    stream_started,
    stream_stopped,
)
from transcriber.events.schema import iso_time
from transcriber.store.call_summary import summary
from transcriber.store.redis_store import RedisStore

CALL = "CA1"


async def test_a_whole_call_with_two_streams(store: RedisStore) -> None:
    event_log, second = store.event_log, lease_of(store, CALL, "MZ2")
    await opened(store, CALL)
    await event_log.open(second, call_started(CALL), stream_started(CALL, "MZ2", track="outbound"), at_ms=STARTED_MS)
    await append(store, 1, final(CALL, "one two three"))
    await event_log.append(second, 1, final(CALL, "four", stream_sid="MZ2", track="outbound"))
    await append(store, 2, dtmf(CALL))
    await append(store, 3, gap(CALL))
    await closed(store, CALL, number=4)
    await event_log.close(second, 2, stream_stopped(CALL, "MZ2", track="outbound"), call_ended(CALL))
    assert await store.history.call(CALL) == {
        "call_sid": CALL,
        "status": "ended",
        "account_sid": "AC1",
        "started_at": AT,
        "started_at_ms": STARTED_MS,
        "ended_at": "2026-11-23T05:20:05.123Z",
        "end_reason": "stop",
        "duration_ms": 5000,
        "model": "en-demo",
        "language": "en",
        "tracks": {
            "inbound": {"speaker": "inbound speaker", "talk_ms": 1000, "audio_ms": 2000},
            "outbound": {"speaker": "outbound speaker", "talk_ms": 1000, "audio_ms": 2000},
        },
        "parameters": {"asked_by_inbound": "yes", "asked_by_outbound": "yes"},
        "streams": 2,
        "finals": 2,
        "words": 4,
        "dtmf": 1,
        "gaps": 1,
        "gap_ms": 240,
        "errors": 6,
        "last_seq": 10,
    }


async def test_a_moment_of_a_track_is_talk_once_however_many_streams_carry_it(store: RedisStore) -> None:
    for sid in ("MZ1", "MZ2"):
        await opened(store, CALL, sid)
    talks = [("MZ1", 100, 1100), ("MZ2", 120, 1150), ("MZ1", 3000, 4000), ("MZ2", 2900, 3900), ("MZ2", 3950, 5000)]
    numbers = {"MZ1": 0, "MZ2": 0}
    for sid, start_ms, end_ms in talks:
        numbers[sid] += 1
        said = replace(final(CALL, stream_sid=sid), start_ms=start_ms, end_ms=end_ms)
        await append(store, numbers[sid], said, stream_sid=sid)
        await append(store, numbers[sid], said, stream_sid=sid)
    found = await store.history.call(CALL)
    assert found["tracks"]["inbound"]["talk_ms"] == 1050 + 2000
    assert found["finals"] == 5
    assert set(found["tracks"]) == {"inbound"}


def test_epoch_milliseconds_are_written_in_utc() -> None:
    assert iso_time(STARTED_MS / 1000) == AT
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"


def test_a_live_call_has_no_end() -> None:
    found = summary(CALL, {"status": "live", "started_at_ms": "5", "live_streams": "1", "written:MZ1": "3"})
    assert (found["ended_at"], found["duration_ms"], found["finals"]) == (None, None, 0)
    assert not any(name.startswith(("written", "live_streams", "was_last")) for name in found)


def test_an_end_before_the_start_by_another_clock_is_no_negative_duration() -> None:
    assert summary(CALL, {"status": "ended", "started_at_ms": str(STARTED_MS + 10), "ended_at": AT})["duration_ms"] == 0
