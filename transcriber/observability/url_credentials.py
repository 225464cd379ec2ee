"""URLs that may hold secrets: what of them may be shown. Pure."""

import re

_USER = re.compile(r"([a-z][a-z0-9+.-]*://)[^/?#\s]*@", re.IGNORECASE)
_NAMED = re.compile(r"([?&][\w.-]*(?:passw|secret|token|key|sig|auth)[\w.-]*=)[^&#\s'\")]+", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """The text with every URL in it, or what was meant to be one, without user, password and secrets of its query."""
    return _NAMED.sub(r"\1***", _USER.sub(r"\1", text))
