"""What a key's roles open, on every route; keys that the settings hold only as a hash."""

import pytest

from tests.web.conftest import Client, WebClient
from transcriber.settings.api_keys import settings_entry
from transcriber.web.access import authorization

READER, REMOVER, BOTH, ALL = (f"tk_{name}_{'x' * 32}" for name in ("reader", "remover", "both", "all"))
KEYS = (
    f"read={READER}",
    settings_entry("delete", REMOVER),
    settings_entry("read+delete", BOTH),
    settings_entry("admin", ALL),
)
ASK = {
    ("GET", "/v1/calls"): "read",
    ("GET", "/v1/calls/CA1"): "read",
    ("GET", "/v1/calls/CA1/transcript"): "read",
    ("GET", "/v1/calls/CA1/events"): "read",
    ("HEAD", "/v1/calls"): "read",
    ("GET", "/v1/server"): "read",
    ("DELETE", "/v1/calls/CA1"): "delete",
    ("POST", "/v1/calls/CA1/attach"): "admin",
    ("POST", "/v1/calls/CA1/detach"): "admin",
}


async def status(client: Client, method: str, path: str, key: str) -> int:
    async with client.request(method, path, headers={"Authorization": f"Bearer {key}"}) as answer:
        if answer.status == 403 and method != "HEAD":
            error = (await answer.json())["error"]
            assert error["code"] == "forbidden"
            assert "role" in error["message"]
            assert key not in error["message"]
        return answer.status


@pytest.mark.parametrize(
    ("key", "may"),
    [(READER, {"read"}), (REMOVER, {"delete"}), (BOTH, {"read", "delete"}), (ALL, {"read", "delete", "admin"})],
)
async def test_a_key_does_what_its_roles_say(web_client: WebClient, key: str, may: set[str]) -> None:
    client = await web_client(api_keys=KEYS)
    for (method, path), role in ASK.items():
        assert (await status(client, method, path, key) not in (401, 403)) == (role in may), (method, path)
    assert (await status(client, "POST", "/v1/sample-calls", key) == 403) == ("admin" not in may)
    if "read" in may:
        about = await client.get("/v1/server", headers={"X-API-Key": key})
        assert set((await about.json())["roles"]) == may


async def test_a_hash_is_no_key(web_client: WebClient) -> None:
    client = await web_client(api_keys=KEYS)
    for shown in (KEYS[3], KEYS[3].removeprefix("sha256:"), KEYS[1], f"read={READER}"):
        assert await status(client, "GET", "/v1/calls", shown) == 401


async def test_every_route_asks_for_a_role(web_client: WebClient) -> None:
    client = await web_client(api_keys=(f"read={READER}",))
    for route in client.app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        if path not in authorization.OPEN_ROUTES and route.method not in ("GET", "HEAD"):
            assert await status(client, route.method, path.replace("{call_sid}", "CA1"), READER) == 403, path
