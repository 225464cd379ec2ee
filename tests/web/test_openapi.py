"""The API's description is one, and says what is served."""

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tests.events.recordings import texts
from tests.web.conftest import WebClient
from transcriber import __version__
from transcriber.events.json_schema import PUBLISHED, event_schemas
from transcriber.events.schema import event_type, parse
from transcriber.web.api.openapi import DOCUMENT
from transcriber.web.api.schemas import SCHEMAS
from transcriber.webhooks.deliverer import DELIVERED_TYPES


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


async def test_it_has_the_schema_of_every_event(web_client: WebClient) -> None:
    client = await web_client()
    described = (await (await client.get("/openapi.json")).json())["components"]["schemas"]
    events = event_schemas("#/components/schemas/{name}")
    assert {kind.__name__ for kind in PUBLISHED} <= events.keys()
    assert {name: described[name] for name in events} == events
    assert len(described) == len(events) + len(SCHEMAS), "no name is taken twice"


def test_the_webhook_is_described_as_it_is_sent() -> None:
    post = DOCUMENT["webhooks"]["event"]["post"]
    body = post["requestBody"]["content"]["application/json"]["schema"]
    assert body["discriminator"]["mapping"].keys() == DELIVERED_TYPES
    schema = Draft202012Validator({**body, "components": DOCUMENT["components"]})
    seen = set()
    for event in map(parse, texts()):
        assert schema.is_valid(event) == (event["type"] in DELIVERED_TYPES)
        seen.add(event["type"])
    assert seen > DELIVERED_TYPES


async def test_the_page_shows_every_route_and_event_and_runs_nothing(web_client: WebClient) -> None:
    answer = await (await web_client()).get("/docs")
    text = await answer.text()
    assert all(path in text for path in DOCUMENT["paths"])
    assert all(f"<code>{event_type(kind)}</code>" in text for kind in PUBLISHED)
    assert "<script" not in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
