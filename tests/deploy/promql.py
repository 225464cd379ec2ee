"""What PromQL names, and what a server and all that is scraped beside it serve."""

import asyncio
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.process import ROOT, program
from tests.server.conftest import Running
from tests.server.test_metrics import text_of
from tests.webhooks.conftest import command

PROMETHEUS = ROOT / "deploy/prometheus"
_NAME = re.compile(r"(?<![\w:])(?:transcriber|redis|process|python)_\w+\b(?!:)")
_RECORD = re.compile(r"(?<![\w:])\w+(?::\w+)+")
_TYPE = re.compile(r"^# TYPE (\w+) (\w+)$", re.MULTILINE)
_PARTS = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("", "_count", "_sum")}


def metrics_named(expression: str) -> set[str]:
    """Names of series that are scraped. What stands between quotes is none."""
    return set(_NAME.findall(re.sub(r'"[^"]*"', '""', expression)))


def records_named(expression: str) -> set[str]:
    """Names of series that recording rules make."""
    return set(_RECORD.findall(re.sub(r'"[^"]*"', '""', expression)))


def promtool(*argv: str, folder: Path = PROMETHEUS) -> str:
    """What it writes; it must succeed."""
    done = try_promtool(*argv, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def try_promtool(*argv: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """How it ends."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not here: make deploy")
    return subprocess.run(["promtool", *argv], cwd=folder, capture_output=True, text=True, timeout=60)


async def served_by(running: Running, port: int, other_port: int) -> set[str]:
    """Names of the series of that server, of a webhook sender and of an exporter for their Redis, on these ports."""
    exporter = shutil.which("prometheus-redis-exporter")
    if exporter is None:
        pytest.skip("prometheus-redis-exporter is not here: make deploy")
    settings = running.server.settings
    sending = ("http://127.0.0.1:9/hook", "--metrics-port", str(port))
    exporting = ("--redis.addr", settings.redis_url, "--web.listen-address", f"127.0.0.1:{other_port}")
    async with (
        command(*sending, url=settings.redis_url, prefix=settings.redis_prefix),
        program(exporter, *exporting),
    ):
        texts = [
            await _answered(f"{running.server.url}/metrics"),
            await _answered(f"http://127.0.0.1:{port}/metrics"),
            await _answered(f"http://127.0.0.1:{other_port}/metrics"),
        ]
    assert "redis_up 1" in texts[-1]
    return {f"{name}{part}" for text in texts for name, kind in _TYPE.findall(text) for part in _PARTS.get(kind, ("",))}


async def _answered(url: str) -> str:
    async with asyncio.timeout(30):
        while True:
            with suppress(aiohttp.ClientError):
                return (await text_of(url))[1]
            await asyncio.sleep(0.05)
