"""Twilio's REST resource of streams: starting and stopping one on a call in progress. One signed POST each (Basic)."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import aiohttp
from yarl import URL

from transcriber import __version__
from transcriber.errors import TelephonyError
from transcriber.settings.environment_proxy import proxy_for
from transcriber.telephony.twilio.messages import SID, clean

log = logging.getLogger(__name__)
Tracks = Literal["both_tracks", "inbound_track", "outbound_track"]
DEADLINE = aiohttp.ClientTimeout(total=10.0)
HEADERS = {"Accept": "application/json", "User-Agent": f"transcriber/{__version__}"}
MAX_ANSWER_BYTES = 64 * 1024
MAX_PARAMETERS = 99
MAX_SAID_CHARACTERS, MAX_CODE_CHARACTERS = 300, 20
OFFICIAL_URL = "https://api.twilio.com"
VERSION_PATH = "2010-04-01"
NOT_IN_PROGRESS_CODE = "21220"
"""Twilio's code for a call that has ended or has not begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """What to start. `name` is unique within the call; by it the stream is stopped."""

    call_sid: str
    url: str
    name: str
    status_callback: str
    track: Tracks = "both_tracks"
    parameters: Mapping[str, str]


class TwilioRestApi:
    """The calls of one account. `base_url`: another API address, for an edge, a region or a test."""

    def __init__(self, account_sid: str, auth_token: str, *, base_url: str = OFFICIAL_URL) -> None:
        self._headers = HEADERS | {"Authorization": aiohttp.encode_basic_auth(account_sid, auth_token)}
        self._calls = URL(base_url).with_user(None) / VERSION_PATH / "Accounts" / account_sid / "Calls"
        self._proxy = proxy_for(base_url)

    async def start(self, request: StreamRequest) -> str:
        """Start a stream; its sid. Raises TelephonyError."""
        if len(request.parameters) > MAX_PARAMETERS:
            raise ValueError(f"a stream takes {MAX_PARAMETERS} parameters, not {len(request.parameters)}")
        form = {
            "Url": request.url,
            "Name": request.name,
            "Track": request.track,
            "StatusCallback": request.status_callback,
            "StatusCallbackMethod": "POST",
        }
        for number, (name, value) in enumerate(request.parameters.items(), 1):
            form |= {f"Parameter{number}.Name": name, f"Parameter{number}.Value": value}
        return await self._ask(request.call_sid, "Streams.json", form)

    async def stop(self, call_sid: str, name: str) -> str:
        """Stop the stream of that name or sid; its sid. Raises TelephonyError."""
        return await self._ask(call_sid, f"Streams/{name}.json", {"Status": "stopped"})

    async def _ask(self, call_sid: str, resource: str, form: Mapping[str, str]) -> str:
        """The sid of the stream that Twilio answers with."""
        try:
            status, body = await self._post(self._calls / call_sid / resource, form)
            if not 200 <= status < 300:
                raise _translated(status, _object(body), call_sid)
            return _sid(body)
        except TelephonyError as error:
            log.warning("Twilio and call %s: %s", call_sid, error)
            raise

    async def _post(self, url: URL, form: Mapping[str, str]) -> tuple[int, bytes]:
        """The answer's status, and its body as far as it is worth reading. Redirects are not followed."""
        # A session each: requests are rare. No `trust_env`: a .netrc would come between.
        session = aiohttp.ClientSession(headers=self._headers, timeout=DEADLINE, proxy=self._proxy)
        try:
            async with session, session.post(url, data=form, allow_redirects=False) as answer:
                return answer.status, await _body(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TelephonyError(502, "twilio_unreachable", f"Twilio cannot be asked: {type(error).__name__}") from None


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for piece in answer.content.iter_chunked(MAX_ANSWER_BYTES):
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            break
    return body


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object of the body, empty if it is none."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _sid(body: bytes) -> str:
    sid = _object(body).get("sid")
    if not isinstance(sid, str) or not SID.fullmatch(sid):
        why = "Twilio's answer cannot be understood (no stream sid in it); see what it did there"
        raise TelephonyError(502, "twilio_failed", why)
    return sid


def _translated(status: int, error: Mapping[str, Any], call_sid: str) -> TelephonyError:
    """What is in `error` is Twilio's and may be anything: `message`, or in the newer shape `detail` or `title`."""
    message = next((error[name] for name in ("message", "detail", "title") if error.get(name)), _reason(status))
    said = clean(str(message), MAX_SAID_CHARACTERS)
    code = clean(str(error.get("code", "none")), MAX_CODE_CHARACTERS)
    said = f"Twilio says: {said} (code {code})"
    match status:
        case 401 | 403:
            return TelephonyError(
                502,
                "twilio_credentials",
                "Twilio refuses the account: compare TRANSCRIBER_TWILIO_ACCOUNT_SID and the first of "
                f"TRANSCRIBER_TWILIO_AUTH_TOKEN with the console. {said}",
            )
        case 404:
            return TelephonyError(404, "not_found", f"Twilio knows no such call or stream of {call_sid}. {said}")
        case 429:
            return TelephonyError(503, "twilio_busy", f"too many requests to Twilio; try again in some seconds. {said}")
        case _ if code == NOT_IN_PROGRESS_CODE:
            return TelephonyError(409, "call_not_in_progress", f"call {call_sid} is not in progress. {said}")
        case _ if 400 <= status < 500:
            return TelephonyError(
                409,
                "twilio_refused",
                f"the stream cannot be started or stopped; a call has at most four streamed tracks. {said}",
            )
    return TelephonyError(502, "twilio_failed", said)


def _reason(status: int) -> str:
    """The status as people know it."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
