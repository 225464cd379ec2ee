"""API keys: what one looks like in the settings, what it may do, and whether a client has shown it.

`KEY`, `sha256:HEX`, `ROLES=KEY` or `ROLES=sha256:HEX`; ROLES are joined by `+`, without them a key may do everything.
"""

import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Flag, auto
from hashlib import sha256

HASH_PREFIX = "sha256:"
KEY_PREFIX = "tk_"
"""Of keys that we make, so that scanners for secrets find one that leaked."""
RANDOM_BYTES = 32
_HASH = re.compile(r"[0-9a-f]{64}")


class Role(Flag):
    """What a key may do. ADMIN: everything, among it to stream, to play sample calls, to attach and detach."""

    READ = auto()
    DELETE = auto()
    CONTROL = auto()
    ADMIN = READ | DELETE | CONTROL


NO_ROLES = Role(0)
ROLE_NAMES = {"read": Role.READ, "delete": Role.DELETE, "admin": Role.ADMIN}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key: its SHA-256, its roles; `plain` is empty when the settings have only the hash."""

    digest: bytes
    roles: Role
    plain: str = ""

    @classmethod
    def from_text(cls, plain: str) -> "ApiKey":
        """The key with this text, with all roles."""
        return cls(sha256(plain.encode()).digest(), Role.ADMIN, plain)


def generate() -> str:
    """A new key."""
    return KEY_PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def parse(text: str) -> ApiKey:
    """A key of the settings. Raises ValueError that quotes no key."""
    named, sign, rest = text.partition("=")
    roles = parse_roles(named) if sign else NO_ROLES
    if not roles:
        if rest.strip().startswith(KEY_PREFIX):
            raise ValueError(f"what stands before ={KEY_PREFIX}… must be of {', '.join(ROLE_NAMES)}, joined by +")
        roles, rest = Role.ADMIN, text
    rest = rest.strip()
    if rest.lower().startswith("bearer "):
        raise ValueError("Bearer stands in the header, before the key: leave it out here")
    hashed = rest.lower().removeprefix(HASH_PREFIX)
    if rest.lower().startswith(HASH_PREFIX):
        if not _HASH.fullmatch(hashed):
            raise ValueError("behind sha256: there must be 64 hexadecimal digits")
        return ApiKey(bytes.fromhex(hashed), roles)
    if f"={HASH_PREFIX}" in rest.lower():
        raise ValueError(f"what stands before =sha256: must be of {', '.join(ROLE_NAMES)}, joined by +")
    if not rest:
        raise ValueError("a key is missing behind its roles")
    return replace(ApiKey.from_text(rest), roles=roles)


def parse_roles(text: str) -> Role:
    """`read+delete`; NOTHING when any of it is no role."""
    roles = NO_ROLES
    for name in text.lower().split("+"):
        if name.strip() not in ROLE_NAMES:
            return NO_ROLES
        roles |= ROLE_NAMES[name.strip()]
    return roles


def find_key(shown: str, keys: Iterable[ApiKey]) -> ApiKey | None:
    """The key that was shown, with all its roles, or None; in constant time, so that a guess learns nothing."""
    digest = sha256(shown.encode("utf-8", "replace")).digest()
    roles = NO_ROLES
    for key in keys:
        same = hmac.compare_digest(key.digest, digest)
        roles |= key.roles if same else NO_ROLES
    return ApiKey(digest, roles) if roles else None


def settings_entry(roles: str, secret: str) -> str:
    """The entry for the settings that admits `secret` and does not reveal it."""
    hashed = HASH_PREFIX + sha256(secret.encode()).hexdigest()
    return hashed if parse_roles(roles) == Role.ADMIN else f"{roles}={hashed}"
