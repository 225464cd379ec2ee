"""bench, whole and small: every section on a second of speech, a peer beside it; shapes and sanity, never speed."""

import json
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from transcriber.audio import sample_calls
from transcriber.audio.chunk import SAMPLE_RATE_HZ, SILENCE
from transcriber.audio.g711 import expand
from transcriber.audio.wav import read_recording

pytestmark = pytest.mark.timeout(300)
WITHIN_S = 280
"""Until a child counts as stuck: all at once on a busy machine take many times what one takes on an idle one."""
ROOT = Path(__file__).parents[2]
SAID = "hello this is the"
SPEECH_S, QUIET_S = 1.6, 2.2
PEER = f"{sys.executable} -m bench.peer {ROOT / 'models/en-demo'} {{port}}"
Outcome = dict[str, Any]

COMMANDS = {
    "words": ("parity", "accuracy", "--manifest", "list.tsv", "--peer", PEER),
    "cost": ("cost", "--calls", "1", "--seconds", "1", "--audio", "call.wav", "--peer", PEER),
    "delays": ("capacity", "latency", "--audio", "call.wav", "--calls=2", "--budget-s=0.1", "--picture", "it.svg"),
    "peer": ("capacity", "--audio", "call.wav", "--calls=2", "--budget-s=0.1", "--peer", PEER, "--peer-rate", "16000"),
    "memory": ("memory", "--audio", "call.wav", "--calls", "1", "--seconds", "1"),
}


def start(folder: Path, *argv: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "transcriber", "bench", *argv]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(folder)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short call: the agent speaks, then nobody."""
    found = tmp_path_factory.mktemp("bench")
    outbound = read_recording(sample_calls.path(sample_calls.DEFAULT)).tracks["outbound"][SAMPLE_RATE_HZ:]
    mulaw = outbound[: int(SPEECH_S * SAMPLE_RATE_HZ)] + bytes([SILENCE]) * int(QUIET_S * SAMPLE_RATE_HZ)
    with wave.open(str(found / "call.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(expand(mulaw).tobytes())
    (found / "list.tsv").write_text(f"path\tspeaker\ttranscript\ncall.wav\tagent\t{SAID}\nunknown.wav\tagent\t-\n")
    return found


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> Iterator[dict[str, "subprocess.Popen[str]"]]:
    """All at once: they mostly wait for real time to pass."""
    running = {name: start(folder, *argv, "--model", "en-demo", "--json") for name, argv in COMMANDS.items()}
    yield running
    for process in running.values():
        process.kill()
        process.communicate()


def sections(outcomes: dict[str, "subprocess.Popen[str]"], name: str) -> Outcome:
    out, err = outcomes[name].communicate(timeout=WITHIN_S)
    assert outcomes[name].returncode == 0, err
    answer = json.loads(out)
    assert answer["machine"]["model"] == "en-demo"
    assert answer["machine"]["cores"] >= 1
    assert err.startswith("transcriber: how many tracks")
    found: Outcome = answer["sections"]
    for section in found.values():
        assert section["about"]
        assert len({tuple(row) for row in section["rows"]}) == 1
    return found


def rows(section: Outcome) -> dict[str, Outcome]:
    return {row["side"]: row for row in section["rows"]}


@pytest.mark.bench
def test_words_are_those_of_bare_vosk(outcomes: dict[str, "subprocess.Popen[str]"]) -> None:
    found = sections(outcomes, "words")
    parity, accuracy = rows(found["parity"]), rows(found["accuracy"])
    assert list(parity) == ["bare Vosk", "service without its gate", "service"]
    assert [row["equal_to_bare"] for row in parity.values()][:2] == [1, 1]
    assert parity["bare Vosk"]["words"] >= 3
    assert list(accuracy) == ["service without its gate", "service", "peer"]
    for row in accuracy.values():
        assert row["words"] == len(SAID.split())
        assert 0 <= row["character_errors_percent"] <= 100
    assert accuracy["peer"]["word_errors_percent"] == parity["bare Vosk"]["word_errors_percent"]


@pytest.mark.bench
def test_cost_of_every_side_beside_bare_vosk(outcomes: dict[str, "subprocess.Popen[str]"]) -> None:
    found = rows(sections(outcomes, "cost")["cost"])
    assert list(found)[:2] == ["bare Vosk, fresh recognizers", "bare Vosk, recycled"]
    assert list(found)[2:] == ["service without its gate", "service", "peer"]
    assert all(row["cpu_s_per_s"] > 0 for row in found.values())
    fresh = found["bare Vosk, fresh recognizers"]
    assert fresh["ratio_to_fresh"] == 1
    assert found["peer"]["ratio_to_fresh"] == pytest.approx(
        found["peer"]["cpu_s_per_s"] / fresh["cpu_s_per_s"], abs=0.1
    )


@pytest.mark.bench
def test_delays_and_a_picture_of_them(outcomes: dict[str, "subprocess.Popen[str]"], folder: Path) -> None:
    found = sections(outcomes, "delays")
    [step] = found["capacity"]["steps"]
    assert (step["calls"], step["turns"]) == (2, 2)
    assert step["failed_calls"] == 0
    assert step["cores_used"] > 0
    assert step["others_cores"] >= 0
    latency = {row["what"]: row for row in found["latency"]["rows"]}
    for row in latency.values():
        assert (row["turns"], row["measured"]) == (2, 2)
        assert row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
    assert latency["first partial"]["p50_ms"] > 0
    assert latency["final"]["p50_ms"] == pytest.approx(latency["final less endpoint"]["p50_ms"] + 600, abs=0.2)
    assert found["latency"]["notes"][0].startswith("speech begins and ends where a detector finds energy")
    picture = ElementTree.parse(folder / "it.svg").getroot()
    assert len(picture.findall("{http://www.w3.org/2000/svg}circle")) == 2


@pytest.mark.bench
def test_a_peer_is_searched_as_well(outcomes: dict[str, "subprocess.Popen[str]"]) -> None:
    capacity = sections(outcomes, "peer")["capacity"]
    assert [step["side"] for step in capacity["steps"]] == ["service", "peer"]
    for step in capacity["steps"]:
        assert step["failed_calls"] == 0
        assert 0 < step["measured"] <= step["turns"]
        assert step["p50_ms"] <= step["p95_ms"] <= step["p99_ms"]
    assert [row["side"] for row in capacity["rows"]] == ["service", "peer"]


@pytest.mark.bench
def test_memory(outcomes: dict[str, "subprocess.Popen[str]"]) -> None:
    [row] = sections(outcomes, "memory")["memory"]["rows"]
    assert 20 < row["rest_mb"] < 1000
    assert row["live_track_mb"] >= 0
    assert row["redis_mb"] > 0
    assert isinstance(row["slope_kb_per_call"], float)
    assert row["ready_s"] > 0


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (("speed",), 2, "no section 'speed': choose from parity, "),
        (("cost", "--picture", "x.svg"), 2, "--picture shows the capacity section"),
        (("cost", "--model", "nowhere"), 1, "no model 'nowhere'"),
        (("cost", "--audio", "missing.wav"), 1, "missing.wav: cannot be read"),
        (("accuracy", "--audio", "call.wav"), 1, "accuracy needs to know what is said"),
        (("latency", "--peer", "sh server.sh"), 2, "a command needs {port}"),
        (("latency", "--peer", "./no-such-program {port}"), 2, "there is no program './no-such-program'"),
        (("accuracy", "--manifest", "bad.tsv"), 1, "every line needs a path, a tab and a transcript"),
    ],
)
def test_what_cannot_be_measured_is_one_line(folder: Path, argv: tuple[str, ...], status: int, message: str) -> None:
    (folder / "bad.tsv").write_text("call.wav\n")
    process = start(folder, *argv)
    _, err = process.communicate(timeout=WITHIN_S)
    assert process.returncode == status
    assert message in err
    assert "Traceback" not in err
