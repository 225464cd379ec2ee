"""One try to open a media socket, and what came of it before the 101."""

import aiohttp

from transcriber.telephony.simulator import Target

ADMITTED = "admitted"
REFUSED = "503 with Retry-After"


async def try_to_dial(session: aiohttp.ClientSession, target: Target) -> str:
    """ADMITTED (and closed at once), TURNED_AWAY, or the status without Retry-After."""
    try:
        async with session.ws_connect(target.media_url, headers=target.headers()):
            return ADMITTED
    except aiohttp.WSServerHandshakeError as error:
        later = error.headers is not None and "Retry-After" in error.headers
        return f"{error.status}{' with Retry-After' if later else ''}"
