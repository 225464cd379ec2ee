"""How a webhook's messages are signed: as Standard Webhooks has it. Pure.

The headers are `webhook-id`, `webhook-timestamp` and `webhook-signature`, the last over `<id>.<timestamp>.<body>` with
HMAC-SHA256, once for each secret, so that secrets can be exchanged while both hold.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence


def message_id(call_sid: str, seq: int) -> str:
    """The same for every try of an event. Without dots, which part what is signed."""
    return f"{call_sid.replace('.', '~')}_{seq}"


def headers(keys: Sequence[bytes], *, identifier: str, at_s: int, body: bytes) -> dict[str, str]:
    """The three headers of a message sent at `at_s` (epoch seconds)."""
    signed = f"{identifier}.{at_s}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
