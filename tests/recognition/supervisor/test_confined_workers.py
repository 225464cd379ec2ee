"""Workers run in the sandbox; what one cannot do is tried in `tests/runtime/test_sandbox.py`."""

from pathlib import Path

from tests.recognition.conftest import TracksOf
from tests.runtime.test_sandbox import needs_filter
from transcriber.audio.chunk import AudioChunk
from transcriber.recognition.worker.protocol import ScriptedModel
from transcriber.runtime import sandbox

SECOND = b"\xff" * 8000


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


@needs_filter
async def test_a_worker_decodes_in_the_sandbox(tracks_of: TracksOf) -> None:
    """What the kernel says of it: 2 is a filter."""
    tracks = await tracks_of(ScriptedModel(), workers=1)
    results: list[object] = []
    queue = tracks.open(results.extend)
    queue.offer(AudioChunk("inbound", SECOND, 0))
    await queue.finish()
    assert results
    [worker] = tracks.model.workers
    status = status_of(worker.pid)
    assert status["Name"] == "decoder"
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
    assert status["Threads"] == "1"


def test_what_a_trial_finds_is_what_holds_here() -> None:
    """`transcriber check` says it."""
    found = sandbox.trial()
    assert "no new privileges" in found.in_force
    assert str(found).startswith("ends with its parent, ")
