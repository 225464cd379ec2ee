"""Audio on disk: written while a stream lives, gone when it has ended, readable up to where it was torn."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.outbox_servers import OpenServer, say
from tests.sample_events import STARTED_MS, call_started, stream_started, until
from transcriber.audio.chunk import AudioChunk
from transcriber.events.schema import Word
from transcriber.outbox.audio_journal import MAX_PENDING_BYTES, AudioJournal, read_audio, read_header
from transcriber.outbox.journal_recovery import JournalRecovery
from transcriber.outbox.stream_writes import StreamOpened, line
from transcriber.recognition.results import FinalResult

OPENING = StreamOpened(call=call_started("CA1"), stream=stream_started("CA1"), at_ms=STARTED_MS)


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def holds(path: Path, least: int) -> bool:
    return size_of(path) >= least


def files_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.is_file())


async def test_audio_is_read_back_from_a_sample_on_up_to_a_torn_end(tmp_path: Path) -> None:
    path = tmp_path / "MZ1.mulaw"
    journal = AudioJournal(path, OPENING, aside_path=tmp_path / "aside")
    for at in (0, 160, 1000):
        journal.record(AudioChunk("inbound", bytes([at % 251]) * 160, at))
    whole = len(line(OPENING)) + 3 * (160 + 13)
    await until(lambda: holds(path, whole))
    assert read_header(path) == OPENING

    def stored(after: Mapping[str, int]) -> list[tuple[int, int]]:
        return [(len(chunk.payload), chunk.start_sample) for chunk in read_audio(path, after)["inbound"]]

    assert stored({}) == [(160, 0), (160, 160), (160, 1000)]
    assert stored({"inbound": 200}) == [(120, 200), (160, 1000)]
    path.write_bytes(path.read_bytes()[:-1])
    assert len(read_audio(path, {})["inbound"]) == 2
    await journal.close()
    assert files_in(tmp_path) == []


async def test_a_disk_too_slow_costs_the_journal_and_not_the_memory(tmp_path: Path) -> None:
    journal = AudioJournal(tmp_path / "MZ1.mulaw", OPENING, aside_path=tmp_path / "aside")
    for at in range(0, 2 * MAX_PENDING_BYTES, 1000):
        journal.record(AudioChunk("inbound", bytes(1000), at))
    await journal.close()
    assert files_in(tmp_path) == []


async def test_audio_that_is_set_aside_is_whole_and_elsewhere(tmp_path: Path) -> None:
    journal = AudioJournal(tmp_path / "MZ1.mulaw", OPENING, aside_path=tmp_path / "aside")
    for at in (0, 160):
        journal.record(AudioChunk("inbound", bytes(160), at))
    journal.set_aside()
    await journal.close()
    assert files_in(tmp_path) == ["aside"]
    assert read_header(tmp_path / "aside") == OPENING
    assert [chunk.start_sample for chunk in read_audio(tmp_path / "aside", {})["inbound"]] == [0, 160]


async def test_audio_that_a_server_died_of_is_left_alone(open_server: OpenServer) -> None:
    dead = await open_server()
    say(dead.begin(), "said")
    await dead.delivered()
    journal = dead.directory.journal_path("MZ1")
    journal.with_name(journal.name + ".tried").write_bytes(line(OPENING))
    await dead.die()
    heir = await open_server()
    await heir.outbox.takeover.begin()
    assert await heir.outbox.takeover.settled(within_s=20)
    assert (await heir.events())[-1]["reason"] == "interrupted"
    assert files_in(dead.directory.path.parent) == [f"{dead.directory.owner}-{journal.name}.tried"]


async def test_a_stream_that_was_closed_is_not_transcribed_again(open_server: OpenServer) -> None:
    """Its server died between the end in Redis and the end of the journal."""
    dead = await open_server()
    publisher = dead.begin()
    say(publisher, "said")
    await dead.close(publisher)
    await publisher.task
    dead.directory.journal_path("MZ1").write_bytes(line(OPENING))
    await dead.die()
    heir = await open_server()
    heir.outbox.takeover.recovery.set_result(JournalRecovery(heir.store.history, more_words))
    await heir.outbox.takeover.begin()
    assert await heir.outbox.takeover.settled(within_s=20)
    await until(
        lambda: asyncio.sleep(0, files_in(dead.directory.path.parent) == [] and not dead.directory.path.exists())
    )
    assert (await heir.events())[-1]["reason"] == "stop"
    assert list(heir.outbox.publishers) == []


async def test_a_server_without_media_leaves_audio_to_others(open_server: OpenServer) -> None:
    async def nothing_is_heard(*_: object) -> list[tuple[str, FinalResult]]:
        raise AssertionError

    dead = await open_server()
    publisher = dead.begin()
    say(publisher, "said")
    await dead.delivered()
    journal = dead.directory.journal_path("MZ1")
    journal.write_bytes(line(OPENING))
    await dead.die()
    showing = await open_server(transcribes=False)
    showing.outbox.takeover.recovery.set_result(JournalRecovery(showing.store.history, nothing_is_heard))
    await showing.outbox.takeover.begin()
    assert await showing.outbox.takeover.settled(within_s=20)
    assert journal.exists()
    heir = await open_server()
    heir.outbox.takeover.recovery.set_result(JournalRecovery(heir.store.history, more_words))
    await heir.outbox.takeover.begin()
    await until(lambda: asyncio.sleep(0, not dead.directory.path.exists()))
    texts = [event.get("text") for event in await heir.events()]
    assert [text for text in texts if text] == ["said", "more"]


async def more_words(
    _parameters: Mapping[str, str], _audio: Mapping[str, Sequence[AudioChunk]]
) -> list[tuple[str, FinalResult]]:
    """A recogniser that hears this time what it did not hear before."""
    return [("inbound", FinalResult(1, "more", (Word("more", 60_000, 60_500, 1.0),)))]
