"""Sizes: the page is what the code reckons, the command says what the page says, the answers carry what was asked."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs import sizing
from tests.process import command, process, wait_until_ready
from transcriber.audio import sample_calls
from transcriber.audio.wav import read_recording
from transcriber.benchmark import sizing_costs as costs
from transcriber.benchmark.fleet_size import Demand, Machine, fleet, room_of
from transcriber.recognition.track_room import cost_of_each, tracks_that_fit
from transcriber.telephony.simulator import CallIds, MessageBuilder, frames


def test_the_page_is_what_the_code_reckons() -> None:
    """`make reference` brings them in step."""
    text = sizing.PAGE.read_text()
    assert text == sizing.filled(text)
    assert sorted(re.findall(r"<!-- begin: (\S+) -->", text)) == sorted(sizing.BLOCKS)


@pytest.mark.parametrize("calls", sizing.CALLS)
@pytest.mark.parametrize("model", costs.MODELS)
async def test_the_command_says_what_the_page_says(calls: int, model: str) -> None:
    status, out = await command("size", "--calls", f"{calls}", "--model", model, "--history-days", "1", "--json")
    assert status == 0, out
    said = json.loads(out)
    (row,) = [line for line in sizing.PAGE.read_text().splitlines() if line.startswith(f"| {calls:,} | `{model}` |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")][2:]
    assert cells == [
        f"{said['servers']:,}",
        f"{said['min_replicas']:,}",
        f"{said['total_mbit']:,} Mbit/s",
        f"{said['redis_cores']:g} cores",
        f"{said['redis_masters']:,}",
        f"`{said['pubsub']}`",
    ]


async def test_what_a_running_server_says_is_taken(tmp_path: Path) -> None:
    async with process("--data-dir", str(tmp_path), "--max-tracks", "24") as child:
        url = await wait_until_ready(child)
        measured = ("--measured", "--url", url, "--cores", "2")
        status, out = await command("size", "--calls", "12", *measured, "--headroom", "0", "--json")
        assert status == 0, out
    assert (json.loads(out)["max_tracks"], json.loads(out)["servers"]) == (24, 2)


async def test_the_answer_for_people_names_the_settings() -> None:
    status, out = await command("size", "--calls", "100", "--room", "50", "--cores", "2")
    assert status == 0, out
    assert "servers   6 of 2 cores, with room for 50 tracks each (MAX_TRACKS)" in out
    assert "PUBSUB=global" in out


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        (("--calls", "0"), 2, "must be 1 or more"),
        (("--calls", "1", "--headroom", "100"), 2, "must be 0 to 95"),
        (("--calls", "1", "--hours-a-day", "25"), 2, "a day has 24 hours"),
        (("--calls", "1", "--room", "9", "--measured"), 2, "not allowed with"),
        (("--calls", "1", "--cores", "0.1", "--model", "ko-dynamic"), 1, "0.1 cores carry no call with this model"),
        (("--calls", "1", "--measured", "--url", "http://127.0.0.1:1"), 1, "no server answers"),
    ],
)
async def test_what_cannot_be_reckoned_is_said(flags: tuple[str, ...], status: int, said: str) -> None:
    found, out = await asyncio.wait_for(command("size", *flags), 50)
    assert (found, said in out) == (status, True), out


@given(
    calls=st.integers(1, 100_000),
    headroom=st.floats(0, 95),
    days=st.floats(0.1, 400),
    cores=st.floats(2, 64),
    model=st.sampled_from(sorted(costs.MODELS)),
)
def test_a_fleet_carries_what_was_asked(calls: int, headroom: float, days: float, cores: float, model: str) -> None:
    machine = Machine(cores=cores)
    demand = Demand(calls=calls, headroom=headroom, history_days=days)
    found = fleet(demand, costs.MODELS[model], machine)
    assert found.servers * found.max_tracks * (1 - headroom / 100) >= found.tracks - 1e-6 * found.tracks
    assert (found.servers - 1) * found.max_tracks >= found.tracks
    assert 2 <= found.min_replicas <= found.servers
    assert found.redis_masters * machine.redis_gb * costs.MEMORY_SHARE >= found.redis_memory_gb - 0.1
    assert found.redis_masters * costs.REDIS_SHARE >= found.redis_cores - 0.001
    more = fleet(Demand(calls=2 * calls, headroom=headroom, history_days=days), costs.MODELS[model], machine)
    assert more.servers >= found.servers
    assert more.redis_masters >= found.redis_masters


@given(tracks=st.integers(2, 5000), cores=st.floats(0.5, 256))
def test_room_and_cost_are_inverse(tracks: int, cores: float) -> None:
    assert tracks_that_fit(cores, cost_of_each(tracks, cores)) in (tracks - 1, tracks)


def test_a_server_of_the_measured_machine_has_the_measured_room() -> None:
    for model in costs.MODELS.values():
        assert abs(room_of(model, model.cores) - model.tracks) <= 1


def test_a_media_message_is_as_long_as_the_simulators() -> None:
    recording = read_recording(sample_calls.path(sample_calls.DEFAULT))
    messages = MessageBuilder(CallIds(), tuple(recording.tracks))
    sizes = [len(messages.media(one)) for one in frames(recording, tracks=tuple(recording.tracks), frame_ms=20)]
    assert round(sum(sizes) / len(sizes)) == pytest.approx(costs.MEDIA_BYTES, abs=3)
