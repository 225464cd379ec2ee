"""The units under a real systemd: calls with all the hardening in force, restarts, stops, a check, a webhook."""

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.deploy.booted_systemd import UNITS, CannotBoot, Systemd, booted
from tests.deploy.redis_files import ConfiguredRedis, configured_redis
from tests.phone import Phone, PhoneCall
from tests.sample_events import until
from tests.store.test_topologies import free_port
from tests.webhooks.conftest import SECRET, Receiving, receiving
from transcriber.audio import sample_calls
from transcriber.recognition.word_errors import word_errors, words_of
from transcriber.store.redis_store import open_store

__all__ = ["receiving"]

pytestmark = pytest.mark.deploy
TOKEN, KEY, PUBLIC_URL = "0123456789abcdef0123456789abcdef", "key-of-an-operator-for-all", "https://media.example.net"
SAMPLE = "08_short_wrong_department"
MAY_BE_MISSING = "not in force: no file grows (the log is a file)"
"""There is no journal in there: the units write to a file."""
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systemd]:
    try:
        with booted(tmp_path_factory.mktemp("systemd")) as running:
            running.secret("twilio-auth-token", TOKEN)
            running.secret("api-keys", KEY)
            running.secret("webhook-crm-secret", SECRET)
            yield running
    except CannotBoot as error:
        pytest.skip(f"systemd cannot run in namespaces here: {error}")


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[ConfiguredRedis]:
    async with configured_redis(tmp_path) as running:
        yield running


@pytest.fixture
async def systemd(system: Systemd, redis: ConfiguredRedis) -> AsyncIterator[Systemd]:
    """With a Redis as the files of deploy/redis configure it; all units stop at the end."""
    system.secret("redis-url", redis.url("transcriber"))
    yield system
    await system.systemctl("stop", "transcriber@*", "transcriber-webhook@*", "transcriber.target")
    await system.run("systemctl", "reset-failed")
    shutil.copy(UNITS / "transcriber.toml", system.settings)
    for name in ("shared-port.conf", "private-redis.conf"):
        (system.folder / "etc/booted/transcriber@.service.d" / name).unlink(missing_ok=True)
    await system.systemctl("daemon-reload")


async def drop_in(systemd: Systemd, name: str) -> None:
    shutil.copy(UNITS / name, systemd.folder / "etc/booted/transcriber@.service.d")
    await systemd.systemctl("daemon-reload")


def phone(port: int) -> Phone:
    return Phone(f"http://127.0.0.1:{port}", auth_token=TOKEN, public_url=PUBLIC_URL)


async def asked(port: int, path: str) -> Any:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return await answer.json() if answer.status == 200 else None


async def ended(port: int, call_sid: str) -> list[dict[str, Any]]:
    """The finals of a call that is over."""

    async def is_over() -> bool:
        call = await asked(port, f"/v1/calls/{call_sid}")
        return call is not None and call["status"] == "ended"

    await until(is_over, within_s=WITHIN_S)
    found: list[dict[str, Any]] = (await asked(port, f"/v1/calls/{call_sid}/transcript"))["utterances"]
    return found


async def spoken(port: int) -> str:
    async with phone(port).call(SAMPLE) as call:
        await call.play()
        assert await call.hang_up() == 1000
    return call.call_sid


async def is_in(systemd: Systemd, unit: str, state: str) -> bool:
    return await systemd.show(unit, "ActiveState") == state


async def test_a_call_is_transcribed_with_all_the_hardening_in_force(systemd: Systemd) -> None:
    port = free_port()
    unit = f"transcriber@{port}"
    await systemd.systemctl("start", unit)
    assert (await systemd.show(unit, "StatusText")).startswith("on http://127.0.0.1:")
    finals = await ended(port, await spoken(port))
    reference = sample_calls.reference(sample_calls.path(SAMPLE)) or ()
    said = {track: [turn.text for turn in reference if turn.track == track] for track in ("inbound", "outbound")}
    for track, texts in said.items():
        heard = " ".join(final["text"] for final in finals if final["track"] == track)
        assert word_errors(words_of(" ".join(texts)), words_of(heard)).rate < 0.3
    processes = await systemd.processes(unit)
    assert len(processes) >= 3  # the server, the model's process, a worker
    for process in processes:
        assert process["NoNewPrivs"] == "1"
        assert process["Seccomp"] == "2"
        assert int(process["CapBnd"], 16) == int(process["CapEff"], 16) == 0
        assert set(process["Uid"].split()) == {processes[0]["Uid"].split()[0]} != {"0"}
    await systemd.systemctl("reload", unit)
    assert "not in force" not in systemd.log("transcriber@.service").replace(MAY_BE_MISSING, "")
    assert "Traceback" not in systemd.log("transcriber@.service")


async def test_a_stop_lets_live_calls_end(systemd: Systemd, redis: ConfiguredRedis) -> None:
    port = free_port()
    unit = f"transcriber@{port}"
    await systemd.systemctl("start", unit)
    async with phone(port).call(SAMPLE) as call:
        await call.play(2000)
        await systemd.systemctl("stop", "--no-block", unit)
        await until(lambda: is_in(systemd, unit, "deactivating"), within_s=WITHIN_S)
        await call.play()
        assert await call.hang_up() == 1000
    await until(lambda: is_in(systemd, unit, "inactive"), within_s=WITHIN_S)
    assert await systemd.show(unit, "Result") == "success"
    await whole(redis, call)


async def whole(redis: ConfiguredRedis, call: PhoneCall) -> None:
    """Its last event is its end, which Twilio's `stop` gave it."""
    async with await open_store(redis.url("transcriber"), prefix="transcripts", ttl_s=600) as store:
        events = [json.loads(text) for text in await store.history.events(call.call_sid)]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[-1]["type"], events[-1]["reason"]) == ("call.ended", "stop")


async def test_a_killed_server_is_started_again_and_wrong_settings_are_not(systemd: Systemd) -> None:
    port = free_port()
    unit = f"transcriber@{port}"
    await systemd.systemctl("start", unit)
    await systemd.systemctl("kill", "--signal=KILL", "--kill-who=main", unit)

    async def is_back() -> bool:
        return await systemd.show(unit, "NRestarts") == "1" and await is_in(systemd, unit, "active")

    await until(is_back, within_s=WITHIN_S)
    await systemd.systemctl("stop", unit)
    (systemd.settings / "transcriber.toml").write_text('prot = "1"\n')
    assert (await systemd.run("systemctl", "start", unit))[0] == 1
    assert await systemd.show(unit, "ExecMainStatus") == "2"
    assert (await systemd.show(unit, "NRestarts"), await systemd.show(unit, "ActiveState")) == ("0", "failed")


async def test_servers_and_senders_are_tried_until_their_redis_is_there(
    systemd: Systemd, redis: ConfiguredRedis, receiving: Receiving
) -> None:
    """As after a power cut, when the machine of Redis takes longest."""
    port = free_port()
    units = f"transcriber@{port}", "transcriber-webhook@crm"
    systemd.secret("redis-url", f"redis://127.0.0.1:{free_port()}")
    (systemd.settings / "webhook-crm.env").write_text(f"WEBHOOK_URL={receiving.url}\n")
    await systemd.systemctl("start", "--no-block", *units)
    for unit in units:

        async def was_tried_often(unit: str = unit) -> bool:
            assert await systemd.show(unit, "ActiveState") != "failed"
            return int(await systemd.show(unit, "NRestarts")) > 12

        await until(was_tried_often, within_s=WITHIN_S)
    systemd.secret("redis-url", redis.url("transcriber"))
    for unit in units:
        await until(lambda unit=unit: is_in(systemd, unit, "active"), within_s=WITHIN_S)  # type: ignore[misc]


async def test_servers_restart_in_turn_and_stop_together(systemd: Systemd) -> None:
    ports = free_port(), free_port()
    units = [f"transcriber@{port}" for port in ports]
    await systemd.systemctl("start", "transcriber.target", *units)
    call_sid = await spoken(ports[0])
    for unit, other in zip(units, reversed(ports), strict=True):
        await systemd.systemctl("restart", unit)
        assert await ended(other, call_sid)
        assert await ended(int(unit.partition("@")[2]), call_sid)  # the restart has waited until it is ready
    await systemd.systemctl("stop", "transcriber.target")
    assert [await systemd.show(unit, "ActiveState") for unit in units] == ["inactive", "inactive"]


async def test_servers_share_a_port(systemd: Systemd) -> None:
    port, metrics = free_port(), (free_port(), free_port())
    await drop_in(systemd, "shared-port.conf")
    file = systemd.folder / "etc/booted/transcriber@.service.d/shared-port.conf"
    file.write_text(file.read_text().replace("TRANSCRIBER_PORT=8080", f"TRANSCRIBER_PORT={port}"))
    await systemd.systemctl("daemon-reload")
    for one in metrics:
        await systemd.systemctl("start", f"transcriber@{one}")
    assert await ended(port, await spoken(port))
    await systemd.systemctl("stop", f"transcriber@{metrics[0]}")
    assert await ended(port, await spoken(port))


async def test_one_instance_with_a_redis_of_its_own_keeps_its_history(systemd: Systemd) -> None:
    port = free_port()
    await drop_in(systemd, "private-redis.conf")
    (systemd.settings / "redis-url").unlink()
    await systemd.systemctl("start", f"transcriber@{port}")
    call_sid = await spoken(port)
    finals = await ended(port, call_sid)
    await systemd.systemctl("restart", f"transcriber@{port}")
    assert await ended(port, call_sid) == finals


async def test_the_check_runs_with_the_servers_rights(systemd: Systemd) -> None:
    await systemd.systemctl("start", "transcriber-check")
    said = systemd.log("transcriber-check.service")
    assert "ok     redis: answers, takes what is written and publishes it" in said
    assert "ok     streams: signatures are checked against https://media.example.net with 1 token(s)" in said
    assert "system calls filtered" in said
    assert "not in force" not in said.replace(MAY_BE_MISSING, "")
    assert TOKEN not in said
    assert KEY not in said


async def test_a_webhook_gets_the_finals(systemd: Systemd, receiving: Receiving) -> None:
    port = free_port()
    text = (UNITS / "webhook.env").read_text()
    (systemd.settings / "webhook-crm.env").write_text(text.replace("https://crm.example.net/calls", receiving.url))
    await systemd.systemctl("start", f"transcriber@{port}", "transcriber-webhook@crm")
    call_sid = await spoken(port)
    finals = await ended(port, call_sid)
    await receiving.until(lambda: receiving.texts(call_sid)[-1:] == ["end"])
    texts = [final["text"] for final in sorted(finals, key=lambda final: final["seq"])]
    assert receiving.texts(call_sid) == [*texts, "end"]
    await systemd.systemctl("stop", "transcriber-webhook@crm")
    assert await systemd.show("transcriber-webhook@crm", "Result") == "success"
