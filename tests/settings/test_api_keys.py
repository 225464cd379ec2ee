"""API keys: their forms in the settings, their roles, and that only the right one is recognised."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.settings import api_keys
from transcriber.settings.api_keys import NO_ROLES, Role

SECRET = "tk_Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFy"
HASH = "sha256:" + sha256(SECRET.encode()).hexdigest()


@pytest.mark.parametrize(
    ("entry", "roles"),
    [
        (SECRET, Role.ADMIN),
        (HASH, Role.ADMIN),
        (HASH.upper(), Role.ADMIN),
        (f"admin={SECRET}", Role.ADMIN),
        (f"read={SECRET}", Role.READ),
        (f"READ+delete={HASH}", Role.READ | Role.DELETE),
    ],
)
def test_an_entry_admits_its_key_with_its_roles(entry: str, roles: Role) -> None:
    key = api_keys.parse(entry)
    assert key.plain == ("" if "sha256" in entry.lower() else SECRET)
    shown = api_keys.find_key(SECRET, [key])
    assert shown is not None
    assert shown.roles == roles
    for wrong in ("", entry[:-1], SECRET + "x", HASH, "sha256:" + SECRET):
        assert api_keys.find_key(wrong, [key]) is None


@pytest.mark.parametrize("plain", ["abc=", "reader=abc", "=abc", "a=b=c", "Zm9v=="])
def test_an_equals_sign_in_a_plain_key_is_part_of_it(plain: str) -> None:
    key = api_keys.parse(plain)
    assert (key.plain, key.roles) == (plain, Role.ADMIN)


@pytest.mark.parametrize("entry", ["sha256:", "sha256:abc", f"{HASH}0", f"raed={HASH}", "read=", "read=sha256:zz"])
def test_what_cannot_be_meant_is_an_error_that_tells_no_key(entry: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        api_keys.parse(entry)
    assert HASH[7:] not in str(caught.value)


def test_the_roles_of_a_key_that_stands_twice_add_up() -> None:
    shown = api_keys.find_key(SECRET, [api_keys.parse(f"read={SECRET}"), api_keys.parse(f"delete={HASH}")])
    assert shown is not None
    assert shown.roles == Role.READ | Role.DELETE


@given(st.text(min_size=1), st.sampled_from(["read", "delete", "admin", "read+delete"]))
def test_what_is_written_is_read_again(secret: str, roles: str) -> None:
    shown = api_keys.find_key(secret, [api_keys.parse(api_keys.settings_entry(roles, secret))])
    assert shown is not None
    assert shown.roles == api_keys.parse_roles(roles) != NO_ROLES
