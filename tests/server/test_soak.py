"""Days in short: memory, files, threads and tasks stay where they are, and a long call's times stay right.

`python -m bench.soak` plays the same at length.
"""

from pathlib import Path

import pytest

from bench.soak import play, speech
from transcriber import sample_calls

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]
CALLS, TIMES = 400, 10
MOST_GROWN_MB = 12
MOST_SHIFT_MS = 30
"""One step of the gate's grid; at the second repetition as at the last."""


async def test_many_calls_leave_no_growth_and_a_long_one_keeps_its_times(tmp_path: Path) -> None:
    recording = speech(sample_calls.DEFAULT)
    calls, long, shift = await play(tmp_path, calls=CALLS, recording=recording, times=TIMES, say=print)
    assert calls is not None
    assert calls.grown_mb < MOST_GROWN_MB
    for growth in (calls, long):
        assert growth is not None
        assert [growth.more(what) <= 2 for what in ("files", "threads", "tasks")] == [True] * 3, growth.warm
    assert shift is not None
    assert shift.same >= 0.9 * shift.words > 50
    assert shift.most_ms <= MOST_SHIFT_MS
