"""The API description against the running server: every answer is one it names, whatever is asked."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.server.conftest import Serve

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
ENDLESS = "events$|media"
"""Streams and sockets are tested by hand."""
pytestmark = [pytest.mark.api, pytest.mark.timeout(300)]


async def test_every_answer_is_one_that_the_description_names(serve: Serve, tmp_path: Path) -> None:
    running = await serve()
    for _ in range(3):
        async with running.phone.call() as call:
            await call.play(2000)
            await call.hang_up()
            await running.ended(call.call_sid)
    arguments = ["run", f"{running.server.url}/openapi.json", "--checks", CHECKS, "--exclude-path-regex", ENDLESS]
    arguments += ["--max-examples", "60", "--seed", "1", "--no-color", "--generation-database", ":memory:"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from schemathesis.cli import schemathesis; schemathesis()",
        *arguments,
        cwd=tmp_path,  # it leaves a folder of its own
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    report, _ = await process.communicate()
    assert process.returncode == 0, report.decode()
