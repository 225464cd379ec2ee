"""Twilio's REST resource of streams: starting and stopping one on a call in progress, with Twilio's own helper library.

The library blocks: its requests run on a thread, with a deadline.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from transcriber.errors import TelephonyError
from transcriber.telephony.twilio.messages import SID, clean

log = logging.getLogger(__name__)
Tracks = Literal["both_tracks", "inbound_track", "outbound_track"]
DEADLINE_S = 10.0
MAX_PARAMETERS = 99
MAX_SAID_CHARACTERS, MAX_CODE_CHARACTERS = 300, 20
OFFICIAL_URL = "https://api.twilio.com"
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
        self._account_sid = account_sid
        self._auth_token = auth_token
        self._base_url = base_url.rstrip("/")

    async def start(self, request: StreamRequest) -> str:
        """Start a stream; its sid. Raises TelephonyError."""
        pairs = list(request.parameters.items())
        if len(pairs) > MAX_PARAMETERS:
            raise ValueError(f"a stream takes {MAX_PARAMETERS} parameters, not {len(pairs)}")
        named = {f"parameter{n}_name": name for n, (name, _) in enumerate(pairs, 1)}
        named |= {f"parameter{n}_value": value for n, (_, value) in enumerate(pairs, 1)}

        def create(client: Any) -> Any:
            return client.calls(request.call_sid).streams.create(
                url=request.url,
                name=request.name,
                track=request.track,
                status_callback=request.status_callback,
                status_callback_method="POST",
                **named,
            )

        return await self._ask(create, request.call_sid)

    async def stop(self, call_sid: str, name: str) -> str:
        """Stop the stream of that name or sid; its sid. Raises TelephonyError."""
        return await self._ask(lambda client: client.calls(call_sid).streams(name).update(status="stopped"), call_sid)

    async def _ask(self, call: Callable[[Any], Any], call_sid: str) -> str:
        """The sid of the stream that Twilio answers with."""
        try:
            return await asyncio.to_thread(self._blocking, call, call_sid)
        except TelephonyError as error:
            log.warning("Twilio and call %s: %s", call_sid, error)
            raise

    def _blocking(self, call: Callable[[Any], Any], call_sid: str) -> str:
        # Here, not above: the library takes a while to load, and most servers never ask.
        from requests.exceptions import RequestException  # type: ignore[import-untyped,unused-ignore]
        from twilio.base.exceptions import TwilioRestException, TwilioServiceException
        from twilio.rest import Client

        client = Client(self._account_sid, self._auth_token, http_client=_http_client(self._base_url))
        try:
            sid = call(client).sid
        except TwilioRestException as error:
            raise _translated(error.status, error.code, error.msg, call_sid) from None
        except TwilioServiceException as error:  # the newer shape, whose status is Twilio's to write
            status = error.status if isinstance(error.status, int) else HTTPStatus.BAD_GATEWAY
            raise _translated(status, error.code, error.detail or error.title, call_sid) from None
        except (RequestException, OSError) as error:
            raise TelephonyError(502, "twilio_unreachable", f"Twilio cannot be asked: {type(error).__name__}") from None
        except Exception as error:  # the library trusts what it is answered: anything may come of another shape
            raise _not_understood(type(error).__name__) from None
        if not isinstance(sid, str) or not SID.fullmatch(sid):
            raise _not_understood("no stream sid in it")
        return sid


def _http_client(base_url: str) -> Any:
    from twilio.http.http_client import TwilioHttpClient

    class Redirected(TwilioHttpClient):  # type: ignore[misc,unused-ignore]
        def request(self, method: str, url: str, *args: Any, **more: Any) -> Any:
            return super().request(method, url.replace(OFFICIAL_URL, base_url, 1), *args, **more)

    return Redirected(timeout=DEADLINE_S)


def _not_understood(why: str) -> TelephonyError:
    return TelephonyError(502, "twilio_failed", f"Twilio's answer cannot be understood ({why}); see what it did there")


def _translated(status: int, code: object, message: object, call_sid: str) -> TelephonyError:
    """`code` and `message` are Twilio's and may be anything."""
    said = clean(str(message).removeprefix("Unable to create record: "), MAX_SAID_CHARACTERS)
    said = f"Twilio says: {said} (code {clean(str(code), MAX_CODE_CHARACTERS)})"
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
        case _ if str(code) == NOT_IN_PROGRESS_CODE:
            return TelephonyError(409, "call_not_in_progress", f"call {call_sid} is not in progress. {said}")
        case _ if 400 <= status < 500:
            return TelephonyError(
                409,
                "twilio_refused",
                f"the stream cannot be started or stopped; a call has at most four streamed tracks. {said}",
            )
    return TelephonyError(502, "twilio_failed", said)
