"""The AsyncAPI document: valid by the specification's own schema, and true of what is published."""

import json
import lzma
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.events.recordings import NAMES, calls
from tests.web.conftest import WebClient
from transcriber import __version__
from transcriber.store.keys import Keys
from transcriber.web.api.asyncapi import DOCUMENT

CHANNELS = DOCUMENT["channels"]


@pytest.fixture(scope="module")
def specification() -> Draft7Validator:
    """AsyncAPI's own schema, see `asyncapi/README.md`."""
    schema = json.loads(lzma.decompress((Path(__file__).parent / "asyncapi" / "3.0.0.json.xz").read_bytes()))
    return Draft7Validator(schema)


async def test_it_is_valid_and_served_without_a_key(web_client: WebClient, specification: Draft7Validator) -> None:
    client = await web_client(api_keys=("k" * 32,))
    answer = await client.get("/asyncapi.json")
    assert answer.status == 200
    document = await answer.json()
    specification.validate(document)
    assert document == DOCUMENT
    assert document["info"]["version"] == __version__


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("operations", "keep", "action"), "write"),
        (("channels", "stream", "adress"), "x"),
        (("servers", "http", "host"), 1),
        (("components", "schemas", "Final", "properties", "seq", "type"), "count"),
        (("operations", "sendAllEvents", "bindings", "http", "method"), "FETCH"),
    ],
)
def test_the_validator_would_tell(specification: Draft7Validator, path: tuple[str, ...], wrong: object) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    part = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = wrong
    assert not specification.is_valid(document)


def test_every_reference_leads_somewhere() -> None:
    references = list(_references(DOCUMENT))
    assert len(references) > 30
    for reference in references:
        _resolve(reference)


def test_channels_are_those_of_the_store_and_carry_what_was_recorded_on_them() -> None:
    validators: dict[tuple[str, str], Draft7Validator] = {}
    for channel, content in CHANNELS.items():
        for message in map(_resolve, (each["$ref"] for each in content["messages"].values())):
            own = {**message["payload"], "components": DOCUMENT["components"]}
            validators[channel, message["name"]] = Draft7Validator(own)
    seen = set()
    for call in (call for name in NAMES for call in calls(name)):
        for name, text in call["published"]:
            [channel] = [kind for kind in ("partial", "final", "event") if name.endswith(f":{kind}")]
            address = CHANNELS[channel]["address"].format(prefix="transcripts", call_sid=call["call_sid"])
            assert address.removeprefix("transcripts:") == name.removeprefix("transcripts:")
            event = json.loads(text)
            for place in (channel, "callEvents", "allEvents"):
                validators[place, event["type"]].validate(event)
                seen.add((place, event["type"]))
        for _, text in call["kept"]:
            event = json.loads(text)
            validators["stream", event["type"]].validate(event)
            seen.add(("stream", event["type"]))
    assert seen == set(validators)
    assert CHANNELS["stream"]["address"].format(prefix="p", call="{CA1}") == Keys("p").events("CA1")


async def test_its_routes_and_patterns_are_served(web_client: WebClient) -> None:
    client = await web_client()
    assert client.app is not None
    served = {route.resource.canonical for route in client.app.router.routes() if route.resource is not None}
    assert {content["address"] for content in CHANNELS.values() if content["address"].startswith("/")} <= served
    patterns = {
        re.sub(r".*PSUBSCRIBE ", "", DOCUMENT["operations"][f"publish_{kind}"]["summary"])
        for kind in ("partial", "final", "event")
    }
    assert patterns == set(Keys("transcripts").patterns())


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for each in part.values():
            yield from _references(each)
    elif isinstance(part, list):
        for each in part:
            yield from _references(each)


def _resolve(reference: str) -> Any:
    part: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        part = part[step]
    return part
