"""The API's description is one, and says what is served."""

from openapi_spec_validator import validate

from tests.web.conftest import WebClient
from transcriber import __version__
from transcriber.web.api.openapi import DOCUMENT


async def test_it_is_valid_and_served_without_a_key(web_client: WebClient) -> None:
    client = await web_client(api_keys=("k" * 32,))
    answer = await client.get("/openapi.json")
    assert answer.status == 200
    document = await answer.json()
    validate(document)
    assert document == DOCUMENT
    assert document["info"]["version"] == __version__


async def test_it_names_every_route_and_no_other(web_client: WebClient) -> None:
    client = await web_client()
    assert client.app is not None
    served = {
        (route.resource.canonical, route.method.lower())
        for route in client.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert served == {(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations}


async def test_the_page_shows_every_route_and_runs_nothing(web_client: WebClient) -> None:
    answer = await (await web_client()).get("/docs")
    text = await answer.text()
    assert all(path in text for path in DOCUMENT["paths"])
    assert "<script" not in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
