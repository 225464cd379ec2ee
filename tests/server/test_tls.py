"""TLS served directly: who gets in, HSTS, a certificate replaced while a call goes on, and files that are of no use."""

import asyncio
import math
import os
import re
import signal
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import trustme

from tests.phone import Phone
from tests.process import command, process, wait_until_ready
from tests.server.conftest import Serve
from tests.server.troubled import metric
from transcriber.cli.http_client import Connection, Server
from transcriber.errors import ConfigError
from transcriber.settings.api_keys import settings_entry
from transcriber.settings.definition import Settings
from transcriber.settings.safety import require_safe
from transcriber.telephony.simulator.certificate_pinning import fingerprint_of
from transcriber.web.transport.certificate import Certificate


class Issuer:
    """An authority of the test's own, and the files that a server reads."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self._authority = trustme.CA()
        self.trust = ssl.create_default_context()
        self._authority.configure_trust(self.trust)

    @property
    def settings(self) -> dict[str, str]:
        return {"tls_cert": str(self.cert), "tls_key": str(self.key)}

    def issue(self, name: str, *, not_after: datetime | None = None) -> None:
        """Put a new pair for localhost and that name in place, each file in one step."""
        pair = self._authority.issue_cert("localhost", "127.0.0.1", name, not_after=not_after)
        for path, blobs in (
            (self.key, [pair.private_key_pem]),
            (self.cert, pair.cert_chain_pems),
        ):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(b"".join(blob.bytes() for blob in blobs))
            os.replace(fresh, path)

    async def shown(self, url: str, *, sni: str = "localhost") -> set[str]:
        """The names in the certificate that a new connection is shown, by a client that checks it."""
        port = int(url.rsplit(":", 1)[1])
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=self.trust, server_hostname=sni)
        names = {str(value) for _, value in writer.get_extra_info("peercert")["subjectAltName"]}
        writer.transport.abort()
        return names


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    made = Issuer(tmp_path)
    made.issue("old.example")
    return made


async def test_https_is_served_with_hsts_and_old_protocols_are_not(serve: Serve, issuer: Issuer) -> None:
    running = await serve(**issuer.settings, port=0)
    assert running.server.url.startswith("https://127.0.0.1:")
    async with aiohttp.ClientSession() as http, http.get(f"{running.server.url}/healthz", ssl=issuer.trust) as answer:
        assert answer.status == 200
        assert "max-age=" in answer.headers["Strict-Transport-Security"]
    assert "old.example" in await issuer.shown(running.server.url)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", int(running.server.url.rsplit(":", 1)[1]), ssl=old)


async def test_the_metrics_say_when_the_certificate_in_use_ends(serve: Serve, issuer: Issuer) -> None:
    running = await serve(**issuer.settings)
    for days in (1, 90):
        ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
        issuer.issue(f"{days}.example", not_after=ends)
        async with asyncio.timeout(20):
            while f"{days}.example" not in await issuer.shown(running.server.url):
                pass
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{running.server.url}/metrics", ssl=issuer.trust) as answer,
        ):
            text = await answer.text()
        found = re.search(r"^transcriber_certificate_expiry_timestamp_seconds (\S+)$", text, re.MULTILINE)
        assert found is not None
        assert float(found[1]) == ends.timestamp()


async def test_without_a_certificate_there_is_no_hsts(serve: Serve) -> None:
    running = await serve()
    assert math.isnan(await metric(running, "transcriber_certificate_expiry_timestamp_seconds"))
    async with aiohttp.ClientSession() as http, http.get(f"{running.server.url}/healthz") as answer:
        assert "Strict-Transport-Security" not in answer.headers


async def test_a_call_goes_on_while_the_certificate_is_replaced(serve: Serve, issuer: Issuer) -> None:
    running = await serve(**issuer.settings)
    phone = Phone(running.server.url, fingerprint=fingerprint_of(issuer.settings["tls_cert"]))
    async with phone.call() as call:
        await call.play(5000)
        issuer.issue("new.example")
        async with asyncio.timeout(20):
            while "new.example" not in await issuer.shown(running.server.url):
                pass
        assert "new.example" in await issuer.shown(running.server.url, sni="127.0.0.1")  # sends no name
        issuer.cert.write_text("damaged")
        assert running.server.certificate is not None
        assert not running.server.certificate.refresh()
        assert "new.example" in await issuer.shown(running.server.url)
        await call.play()
        assert await call.hang_up() == 1000
        events = await running.ended(call.call_sid)
    assert not [event for event in events if event["type"] in ("gap", "stream.error")]
    assert events[-1]["reason"] == "stop"


async def test_sample_calls_and_commands_reach_a_server_with_tls(serve: Serve, issuer: Issuer) -> None:
    running = await serve(**issuer.settings)
    server = Server(running.server.url, fingerprint=fingerprint_of(issuer.settings["tls_cert"]))
    async with Connection(server) as api:
        sample = await api.post("/v1/sample-calls", {})
        await running.live(1)
        running.server.sessions.skip_drain()
        assert sample["call_sid"]


async def test_sighup_looks_at_the_files(tmp_path: Path, issuer: Issuer) -> None:
    flags = ["--data-dir", str(tmp_path), "--tls-cert", str(issuer.cert), "--tls-key", str(issuer.key)]
    async with process(*flags) as child:
        url = await wait_until_ready(child)
        issuer.issue("new.example")
        child.send_signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while "new.example" not in await issuer.shown(url):
                pass
        environment = {"TRANSCRIBER_TLS_CERT": str(issuer.cert), "TRANSCRIBER_PORT": url.rsplit(":", 1)[1]}
        assert await command("calls", **environment) == (0, "no calls\n")
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 20) == 0


async def test_another_certificate_than_the_settings_is_said_so(serve: Serve, issuer: Issuer, tmp_path: Path) -> None:
    running = await serve(**issuer.settings)
    (tmp_path / "other").mkdir()
    other = Issuer(tmp_path / "other")
    other.issue("other.example")
    environment = {"TRANSCRIBER_TLS_CERT": str(other.cert), "TRANSCRIBER_PORT": running.server.url.rsplit(":", 1)[1]}
    for argv in (("calls",), ("replay", "08_short_wrong_department")):
        status, said = await command(*argv, **environment)
        assert status == 1
        assert "another certificate" in said
        assert said.count("\n") == 1


async def test_check_looks_at_the_pair(issuer: Issuer, tmp_path: Path) -> None:
    flags = ["check", "--data-dir", str(tmp_path), "--tls-cert", str(issuer.cert), "--tls-key", str(issuer.key)]
    keys = f"read={'k' * 30},{settings_entry('admin', 'x' * 30)}"
    status, said = await command(*flags, TRANSCRIBER_API_KEYS=keys)
    assert status == 0
    assert "ok     tls: certificate and key" in said
    assert "ok     api: 2 key(s), 1 for everything, 1 kept as a hash" in said
    issuer.key.unlink()
    status, said = await command(*flags)
    assert status == 1
    assert "WRONG  tls:" in said


@pytest.mark.parametrize("damage", ["no cert", "no key", "no pair", "a passphrase"])
def test_files_of_no_use_are_named(issuer: Issuer, damage: str, tmp_path: Path) -> None:
    match damage:
        case "no cert":
            issuer.cert.unlink()
        case "no key":
            issuer.key.write_text("nothing")
        case "no pair":
            other = trustme.CA().issue_cert("localhost")
            issuer.key.write_bytes(other.private_key_pem.bytes())
        case "a passphrase":
            issuer.key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    with pytest.raises(ConfigError, match=r"TRANSCRIBER_TLS_CERT .*cert.pem"):
        Certificate(str(issuer.cert), str(issuer.key))


def test_one_file_may_hold_both(issuer: Issuer) -> None:
    issuer.cert.write_text(issuer.key.read_text() + issuer.cert.read_text())
    Certificate(str(issuer.cert))


def test_a_key_without_a_certificate_is_refused() -> None:
    with pytest.raises(ConfigError, match="TRANSCRIBER_TLS_CERT"):
        require_safe(Settings(tls_key="/key.pem"))
