"""JOURNAL: live audio is on disk as long as the stream lives, and no longer."""

from pathlib import Path

from tests.sample_events import until
from tests.server.conftest import Serve


def sizes(data_dir: Path) -> list[int]:
    return [path.stat().st_size for path in data_dir.glob("outbox/*/*.mulaw")]


async def test_a_journal_lives_as_long_as_its_stream(serve: Serve, tmp_path: Path) -> None:
    running = await serve(journal=True)

    async def holds_audio() -> bool:
        return [size > 2 * 3 * 8000 for size in sizes(tmp_path)] == [True]

    async with running.phone.call() as call:
        await call.play(3000)
        await until(holds_audio, within_s=30)
        await call.hang_up()
        assert (await running.ended(call.call_sid))[-1]["reason"] == "stop"
    await running.live(0)
    assert sizes(tmp_path) == []


async def test_without_the_setting_no_audio_is_kept(serve: Serve, tmp_path: Path) -> None:
    running = await serve()
    async with running.phone.call() as call:
        await call.play(3000)
        await call.hang_up()
        await running.ended(call.call_sid)
        assert sizes(tmp_path) == []
