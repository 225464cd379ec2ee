"""A server that may use less than the machine has: its workers and its room follow, and it says so."""

import asyncio
import re
import signal
import sys
from pathlib import Path

import aiohttp

from tests.control_group import half_a_core
from tests.process import program, wait_for_line

START = "import os, sys; {before}; os.execv(sys.executable, [sys.executable, '-m', 'transcriber', *sys.argv[1:]])"
ONE_CORE = "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"


async def started(data_dir: Path, before: str) -> tuple[list[str], int, int]:
    """What a server says about the machine, its room in tracks and its workers, when `before` was run first."""
    serve = ("serve", "--port", "0", "--data-dir", str(data_dir))
    async with program(sys.executable, "-c", START.format(before=before), *serve) as child:
        lines = []
        while b"ready on" not in (line := await wait_for_line(child, b": ")):
            lines.append(line.decode().rstrip())
        url = line.split(b"ready on ")[1].split(b";")[0].decode()
        async with aiohttp.ClientSession() as client, client.get(f"{url}/metrics") as answer:
            text = await answer.text()
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 20) == 0
    room, workers = (int(float(_metric(text, name))) for name in ("tracks_capacity", "workers"))
    return [line.split("machine: ")[1] for line in lines if ": machine: " in line], room, workers


def _metric(text: str, name: str) -> str:
    found = re.search(rf"^transcriber_{name} (\S+)$", text, re.MULTILINE)
    assert found is not None
    return found[1]


async def test_room_and_workers_follow_affinity_and_quota(tmp_path: Path) -> None:
    said, room_of_one, workers = await started(tmp_path / "one", ONE_CORE)
    assert workers == 1
    assert re.fullmatch(r"1 of \d+ cores: the process's CPU affinity", said[0])
    with half_a_core() as enter:
        said, room_of_half, workers = await started(tmp_path / "half", enter)
    assert workers == 1
    assert re.fullmatch(r"0.5 of \d+ cores: the control group's CPU quota", said[0])
    assert room_of_half < room_of_one
