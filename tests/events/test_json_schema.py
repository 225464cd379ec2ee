"""The JSON Schemas of events: true of what was recorded, and not of anything else."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.events.recordings import texts
from transcriber.events.json_schema import PUBLISHED, event_schemas
from transcriber.events.schema import event_type, parse

SCHEMAS = event_schemas("#/$defs/{name}")
DOCUMENT = {"$ref": "#/$defs/Event", "$defs": SCHEMAS}
ANY_EVENT = Draft202012Validator(DOCUMENT, format_checker=Draft202012Validator.FORMAT_CHECKER)


def own(kind: str) -> Draft202012Validator:
    """The schema of one kind of event."""
    return Draft202012Validator({**DOCUMENT, "$ref": f"#/$defs/{name_of(kind)}"})


def name_of(kind: str) -> str:
    """The name of its schema."""
    return next(each.__name__ for each in PUBLISHED if event_type(each) == kind)


def test_they_are_schemas() -> None:
    Draft202012Validator.check_schema(DOCUMENT)


def test_every_recorded_event_is_as_its_schema_says_and_every_kind_occurs() -> None:
    validators = {event_type(kind): own(event_type(kind)) for kind in PUBLISHED}
    seen = set()
    for text in texts():
        event = json.loads(text)
        validators[event["type"]].validate(event)
        ANY_EVENT.validate(event)
        seen.add(event["type"])
        assert list(event) == list(SCHEMAS[name_of(event["type"])]["properties"]), "in the order of the schema"
    assert seen == set(validators)


@pytest.mark.parametrize(
    "change",
    [
        {"seq": None},
        {"seq": 0},
        {"v": 2},
        {"type": "gap"},
        {"start_ms": 1.5},
        {"words": [{"word": "one"}]},
        {"at": "yesterday"},
        {"text": None},
    ],
)
def test_what_is_no_final_is_refused(change: dict[str, Any]) -> None:
    final = next(parse(text) for text in texts() if '"type":"final"' in text)
    assert ANY_EVENT.is_valid(final)
    assert ANY_EVENT.is_valid({**final, "added_later": [1]})
    wrong = {name: value for name, value in (final | change).items() if value is not None}
    assert not ANY_EVENT.is_valid(wrong)


def test_every_field_is_described_and_times_name_their_unit() -> None:
    for name, schema in event_schemas().items():
        assert schema["description"]
        for field, content in schema.get("properties", {}).items():
            assert content["description"], (name, field)
            assert not field.endswith("_ms") or "milliseconds" in content["description"].lower()
