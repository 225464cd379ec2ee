"""CallSids that are none, on every route that takes one: a clear refusal, and no key of the store is touched."""

from collections.abc import Awaitable, Callable

import pytest
from yarl import URL

from tests.web.conftest import WebClient
from tests.web.written_call import WrittenCall
from transcriber.store.redis_store import RedisStore

IDS = (
    *(
        "*",
        "CA?",
        "[a-z]",
        "%7BCA1%7D",
        "CA1:x",
        "CA1%00",
        "CA1%0a",
        "..",
        "%2e%2e%2f",
        "..%2F..%2Fetc%2Fpasswd",
        "%20",
    ),
    *("%F0%9F%98%80", "%ff%fe", "%ED%A0%80", "C" * 65, "C" * 8000, "%25s", "%3Cscript%3E", "CA1%2Ftranscript", "%"),
)


@pytest.mark.parametrize("call_sid", IDS)
async def test_they_are_refused_everywhere(
    web_client: WebClient, begin_call: Callable[..., Awaitable[WrittenCall]], store: RedisStore, call_sid: str
) -> None:
    await begin_call("CA1")
    before = {key async for key in store.client.scan_iter(match=f"{store.keys.prefix}:*")}
    client = await web_client()
    routes = {(r.method, r.resource.canonical) for r in client.app.router.routes() if r.resource is not None}
    asked = [(method, path) for method, path in sorted(routes) if "{call_sid}" in path]
    assert len(asked) >= 7
    for method, path in asked:
        url = URL(str(client.make_url("/"))[:-1] + path.replace("{call_sid}", call_sid), encoded=True)
        async with client.session.request(method, url) as answer:
            assert answer.status in (400, 404, 405), (method, path)
            assert method == "HEAD" or (await answer.json())["error"]["message"]
    assert {key async for key in store.client.scan_iter(match=f"{store.keys.prefix}:*")} == before
