"""`journalctl -p warning` shows what the server warns of: lines for the journal carry their priority."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging
from transcriber.observability import logs
logs.set_up("debug", {form!r})
log = logging.getLogger("transcriber.test")
log.debug("looked")
log.info("took a call")
log.warning("Redis is away")
try:
    raise OSError("no disk")
except OSError:
    log.exception("lost")
log.critical("gone")
"""


def written(form: str, file: Path, journal: str) -> list[str]:
    """Lines of a process whose stderr is the file, while systemd says that this is its journal's stream."""
    with file.open("w") as stderr:
        status = os.fstat(stderr.fileno())
        named = journal.format(f"{status.st_dev}:{status.st_ino}")
        program = [sys.executable, "-c", PROGRAM.format(form=form)]
        subprocess.run(program, stderr=stderr, check=True, env=os.environ | {"JOURNAL_STREAM": named}, timeout=50)
    return file.read_text().splitlines()


def test_every_line_of_a_text_has_the_priority_of_its_record(tmp_path: Path) -> None:
    lines = written("text", tmp_path / "log", "{}")
    found = [(int(line[1]), line[3:]) for line in lines if re.match(r"<\d>", line)]
    assert len(found) == len(lines)
    assert [number for number, text in found if "DEBUG looked" in text] == [7]
    assert [number for number, text in found if "INFO took a call" in text] == [6]
    assert [number for number, text in found if "WARNING Redis is away" in text] == [4]
    assert {number for number, text in found if re.search("lost|Traceback|no disk", text)} == {3}
    assert found[-1][0] == 2


def test_json_lines_stay_json_behind_it(tmp_path: Path) -> None:
    lines = written("json", tmp_path / "log", "{}")
    assert [(line[:3], json.loads(line[3:])["level"]) for line in lines] == [
        ("<7>", "debug"),
        ("<6>", "info"),
        ("<4>", "warning"),
        ("<3>", "error"),
        ("<2>", "critical"),
    ]


@pytest.mark.parametrize("journal", ["", "1:2", "{}0"])
def test_nobody_else_sees_priorities(journal: str, tmp_path: Path) -> None:
    """The variable is inherited also where stderr leads somewhere else."""
    assert not [line for line in written("text", tmp_path / "log", journal) if line.startswith("<")]
