"""Days in short: memory, files, threads and tasks stay where they are, and a long call's times stay right.

`python -m bench.soak` plays the same at length.
"""

from pathlib import Path

import pytest

from bench.soak import play, speech
from transcriber.audio import sample_calls

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]
CALLS, TIMES = 400, 10
MAX_GROWN_MB = 12
MAX_SHIFT_MS = 30
"""One of the acoustic model's frames, by which words are told."""


async def test_many_calls_leave_no_growth_and_a_long_one_keeps_its_times(tmp_path: Path) -> None:
    recording = speech(sample_calls.DEFAULT)
    calls, long, times = await play(tmp_path, calls=CALLS, recording=recording, times=TIMES, say=print)
    assert calls is not None
    assert calls.grown_mb < MAX_GROWN_MB
    for growth in (calls, long):
        assert growth is not None
        assert [growth.more(what) <= 2 for what in ("files", "threads", "tasks")] == [True] * 3, growth.warm
    assert times is not None
    assert all(shift.same >= 0.9 * shift.words > 50 for shift in times.shifts), times.line()
    assert max(map(abs, times.medians_ms)) <= MAX_SHIFT_MS, times.line()
