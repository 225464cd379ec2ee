"""When a certificate ends, as a library of X.509 says it."""

import ssl
from contextlib import suppress
from datetime import UTC, datetime

import pytest
import trustme
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from transcriber.web.transport.certificate_expiry import expiry_s

AUTHORITY = trustme.CA()


@pytest.mark.parametrize("year", [2026, 2049, 2050, 2120])
def test_it_is_what_the_certificate_says(year: int) -> None:
    """From 2050 on the time is written in another form."""
    ends = datetime(year, 11, 30, 12, 34, 56, tzinfo=UTC)
    pair = AUTHORITY.issue_cert("media.example.net", not_after=ends)
    text = b"".join(blob.bytes() for blob in (pair.private_key_pem, *pair.cert_chain_pems)).decode()
    assert expiry_s(text) == ends.timestamp()
    assert load_pem_x509_certificate(pair.cert_chain_pems[0].bytes()).not_valid_after_utc == ends


@given(st.binary(max_size=80))
def test_anything_else_is_refused_in_one_way(junk: bytes) -> None:
    with pytest.raises(ValueError, match="no certificate that can be read"):
        expiry_s(ssl.DER_cert_to_PEM_cert(junk))


@given(st.data())
def test_a_damaged_certificate_is_refused_or_read(data: st.DataObject) -> None:
    der = bytearray(ssl.PEM_cert_to_DER_cert(AUTHORITY.cert_pem.bytes().decode()))
    der[data.draw(st.integers(0, 200))] = data.draw(st.integers(0, 255))
    with suppress(ValueError):
        assert isinstance(expiry_s(ssl.DER_cert_to_PEM_cert(bytes(der))), float)
