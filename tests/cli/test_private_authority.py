"""Commands and a server whose certificate a private authority has signed."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from tests.process import command, process, wait_until_ready

HINT = "name its authority with --ca-file FILE"


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """A server with such a certificate; its authority is in ca.pem, another one in other.pem."""
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1")
    pair.private_key_and_cert_chain_pem.write_to_path(tmp_path / "pair.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    async with process("--data-dir", str(tmp_path / "data"), "--tls-cert", str(tmp_path / "pair.pem")) as child:
        yield await wait_until_ready(child)
        child.send_signal(signal.SIGTERM)
        await asyncio.wait_for(child.wait(), 20)


async def test_replay_and_the_others_take_the_authority_from_a_file(url: str, tmp_path: Path) -> None:
    trust = ("--url", url, "--ca-file", str(tmp_path / "ca.pem"))
    status, out = await command("replay", "--speed", "0", *trust)
    assert (status, "word error rate" in out) == (0, True), out
    status, out = await command("calls", *trust)
    assert (status, "CA" in out) == (0, True), out


@pytest.mark.parametrize("authority", [None, "other.pem"])
async def test_a_certificate_that_is_not_trusted_is_not_taken_for_no_server(
    url: str, tmp_path: Path, authority: str | None
) -> None:
    flags = ("--ca-file", str(tmp_path / authority)) if authority else ()
    for argv in (("replay", "--speed", "0"), ("calls",), ("show", "CA1")):
        status, out = await command(*argv, "--url", url, *flags)
        assert (status, out.count("\n")) == (1, 1), out
        assert f"the certificate of {url}" in out.replace("wss://", "https://")
        assert "is not trusted (" in out
        assert HINT in out


@pytest.mark.parametrize(("text", "says"), [(None, "No such file"), ("no certificate", "PEM")])
async def test_a_file_of_no_use_is_said(tmp_path: Path, text: str | None, says: str) -> None:
    if text:
        (tmp_path / "ca.pem").write_text(text)
    status, out = await command("calls", "--url", "https://127.0.0.1:1", "--ca-file", str(tmp_path / "ca.pem"))
    assert status == 2
    assert says in out
