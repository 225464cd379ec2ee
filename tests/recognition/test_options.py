"""What a call may ask for, and that nothing asked for wrongly is passed over in silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.recognition.options import RecognitionRequest, parse_request


def test_no_parameters_no_wishes() -> None:
    assert parse_request({}) == (RecognitionRequest(), [])
    assert parse_request({"endpoint_ms": " ", "hints": "", "model": ""}, endpoint_ms=900) == (
        RecognitionRequest(endpoint_ms=900),
        [],
    )


def test_everything_at_once() -> None:
    request, faults = parse_request(
        {
            "model": " en-demo ",
            "language": "EN-us",
            "partials": "False",
            "endpoint_ms": "1200",
            "hints": "Acme Corp,  Zoë , Acme Corp",
            "grammar": '["yes", "no, thank you"]',
            "customer": "17",
        }
    )
    assert not faults
    assert request == RecognitionRequest(
        model="en-demo",
        language="en-us",
        partials=False,
        endpoint_ms=1200,
        hints=("Acme Corp", "Zoë"),
        grammar=("yes", "no, thank you"),
    )


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("partials", "maybe", "partials_invalid"),
        ("endpoint_ms", "soon", "endpoint_ms_invalid"),
        ("endpoint_ms", "99", "endpoint_ms_invalid"),
        ("endpoint_ms", "10001", "endpoint_ms_invalid"),
        ("endpoint_ms", "-600", "endpoint_ms_invalid"),
        ("endpoint_ms", "00000060099999", "endpoint_ms_invalid"),
        ("endpoint_ms", "6" * 5000, "endpoint_ms_invalid"),
        ("endpoint_ms", "0" * 5000, "endpoint_ms_invalid"),
        ("endpoint_ms", "+600", "endpoint_ms_invalid"),
        ("endpoint_ms", "6_00", "endpoint_ms_invalid"),
        ("endpoint_ms", "600.0", "endpoint_ms_invalid"),
        ("endpoint_ms", "٦٠٠", "endpoint_ms_invalid"),
        ("grammar", '["yes"', "grammar_invalid"),
        ("grammar", "[1]", "grammar_invalid"),
        ("hints", ",".join(map(str, range(501))), "hints_invalid"),
    ],
)
def test_what_cannot_be_understood_is_a_fault(name: str, value: str, code: str) -> None:
    request, faults = parse_request({name: value})
    assert [fault.code for fault in faults] == [code]
    assert len(request.hints) in (0, 500)
    assert request == RecognitionRequest(hints=request.hints)


def test_zeros_before_a_number_change_nothing() -> None:
    assert parse_request({"endpoint_ms": "0" * 5000 + "900"}) == (RecognitionRequest(endpoint_ms=900), [])


def test_hints_keep_joiners_and_lose_what_nobody_says() -> None:
    hints = "می\u200cخواهم,Don\u00adau\u00a0dampf,\u200b,\u200e"
    assert parse_request({"hints": hints}) == (RecognitionRequest(hints=("می\u200cخواهم", "Donau dampf")), [])


@given(
    parameters=st.dictionaries(
        st.sampled_from(("model", "language", "partials", "endpoint_ms", "hints", "grammar")), st.text()
    )
)
def test_any_text_is_read(parameters: dict[str, str]) -> None:
    request, faults = parse_request(parameters)
    assert 100 <= request.endpoint_ms <= 10_000
    assert all(fault.code and fault.message for fault in faults)
