"""A carrier's side of the socket: Twilio's upgrade request, messages in real time, an orderly end."""

import asyncio
import json
import math
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from transcriber.audio.wav import Recording
from transcriber.errors import ServerUnreachable
from transcriber.telephony.simulator.certificate_pinning import ANOTHER_CERTIFICATE
from transcriber.telephony.simulator.message_builder import CallIds, MessageBuilder, frames
from transcriber.telephony.simulator.private_authority import not_trusted
from transcriber.telephony.twilio import signature

MEDIA_PATH = "/v1/media"
CONNECT_S = 10
CLOSE_S = 2
NORMAL_CODE, NO_STATUS_CODE, LOST_CODE = 1000, 1005, 1006
"""WebSocket close codes (RFC 6455)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server and what it wants to see. `url`: http(s) or ws(s), with or without the path of the media socket.

    `fingerprint`: SHA-256 of the only certificate that is taken for the server's; without it a common TLS check, by the
    `authority` if there is one.
    With `auth_token` the upgrade is signed over `public_url` (default: `url`), as Twilio signs what it dials.
    """

    url: str
    auth_token: str | None = None
    public_url: str | None = None
    api_key: str | None = None
    fingerprint: bytes | None = None
    authority: ssl.SSLContext | None = None

    @property
    def media_url(self) -> str:
        """The address to dial."""
        return _media_url(self.url)

    @property
    def tls(self) -> "aiohttp.Fingerprint | ssl.SSLContext | bool":
        """How the server's certificate is checked, as aiohttp's `ssl`."""
        return aiohttp.Fingerprint(self.fingerprint) if self.fingerprint else self.authority or True

    def headers(self) -> dict[str, str]:
        """The upgrade request's headers besides those of every WebSocket."""
        found = {"User-Agent": "Twilio.TmeWs/1.0", "Accept-Encoding": "gzip"}
        if self.auth_token:
            url = _media_url(self.public_url or self.url)
            found["X-Twilio-Signature"] = signature.compute(self.auth_token, url)
        if self.api_key:
            found["Authorization"] = f"Bearer {self.api_key}"
        return found


class RealtimeClock:
    """A clock that runs `speed` times as fast as real time from its making; 0 or infinite: never waits."""

    def __init__(self, speed: float) -> None:
        self._scale = 0.0 if math.isinf(speed) else speed
        self._began = time.monotonic()

    async def until(self, audio_ms: int) -> None:
        """Wait until that much audio was spoken; never drifts, catches up when late, and always lets others run."""
        wait_s = self._began + audio_ms / 1000 / self._scale - time.monotonic() if self._scale else 0.0
        await asyncio.sleep(max(0.0, wait_s))


class MediaStreamClient:
    """An open socket. Whatever the server does is noticed at once, also while only sending."""

    def __init__(self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.received: list[str] = []
        self._session = session
        self._socket = socket
        self._leaving = False
        self._closed: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())

    @property
    def close_code(self) -> int | None:
        """The server's close code, 1006 when the connection was lost, None while it is open."""
        return self._closed.result()[0] if self._closed.done() else None

    async def send(self, message: str | bytes) -> None:
        """Send one message. Raises ServerUnreachable once the server has closed."""
        if self._closed.done():
            raise _ended(*self._closed.result())
        try:
            await (self._socket.send_str(message) if isinstance(message, str) else self._socket.send_bytes(message))
        except (aiohttp.ClientError, ConnectionError):
            raise _ended(*await asyncio.shield(self._closed)) from None

    async def closed(self, *, within_s: float) -> tuple[int, str]:
        """Wait for the server's close: its code and reason. Raises TimeoutError."""
        return await asyncio.wait_for(asyncio.shield(self._closed), within_s)

    async def close(self) -> None:
        """Close from our side; `close_code` is then the server's answer. Nothing happens when it is closed already."""
        self._leaving = True
        await self._socket.close()
        await self._reader
        if not self._closed.done():
            self._closed.set_result((self._socket.close_code or LOST_CODE, ""))

    async def cut(self) -> None:
        """Drop the connection without a close frame, as a broken network does."""
        await self._session.close()
        await self._reader

    async def _read(self) -> None:
        end = (LOST_CODE, "")
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                self.received.append(message.data)
            elif message.type is aiohttp.WSMsgType.CLOSE:
                end = (message.data or NO_STATUS_CODE, message.extra or "")
                break
            elif message.type is not aiohttp.WSMsgType.BINARY:
                break
        if not self._leaving:
            self._closed.set_result(end)


@asynccontextmanager
async def connect(target: Target, *, headers: Mapping[str, str] | None = None) -> AsyncIterator[MediaStreamClient]:
    """Dial; the client is closed at the end. `headers` are added. Raises ServerUnreachable, with the server's words."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
    async with aiohttp.ClientSession(
        skip_auto_headers=("Accept",), timeout=timeout, raise_for_status=_refuse_all_but_upgrade
    ) as session:
        try:
            async with asyncio.timeout(CONNECT_S):
                socket = await session.ws_connect(
                    target.media_url,
                    headers=target.headers() | dict(headers or {}),
                    ssl=target.tls,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                )
        except aiohttp.ServerFingerprintMismatch:
            raise ServerUnreachable(f"{target.media_url} shows {ANOTHER_CERTIFICATE}") from None
        except aiohttp.ClientConnectorError as error:
            if distrust := not_trusted(target.media_url, error.os_error):
                raise ServerUnreachable(distrust) from None
            raise _unreachable(target.media_url, error.os_error.strerror or str(error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _unreachable(target.media_url, str(error) or type(error).__name__) from None
        client = MediaStreamClient(session, socket)
        try:
            yield client
        finally:
            await client.close()


async def dial(
    target: Target,
    recording: Recording,
    *,
    ids: CallIds,
    parameters: Mapping[str, str] | None = None,
    speed: float = 1.0,
    on_position: Callable[[int], None] | None = None,
    hang_up: asyncio.Event | None = None,
    close_s: float = 60.0,
) -> None:
    """Play the recording as a call, `speed` times as fast as real time (0: as fast as the server takes it).

    `on_position` is told the milliseconds played; setting `hang_up` ends the call early, in order. After `stop` the
    server has `close_s` to close. Raises ServerUnreachable for a refusal, a lost connection or any close code but 1000.
    """
    messages = MessageBuilder(ids, list(recording.tracks), parameters=parameters)
    async with connect(target) as client:
        await client.send(messages.connected())
        await client.send(messages.start())
        clock, at_ms = RealtimeClock(speed), -1
        for frame in frames(recording):
            if frame.at_ms != at_ms:
                at_ms = frame.at_ms
                await clock.until(frame.end_ms)
                if hang_up is not None and hang_up.is_set():
                    break
                if on_position is not None:
                    on_position(frame.end_ms)
            await client.send(messages.media(frame))
        await client.send(messages.stop())
        try:
            code, reason = await client.closed(within_s=close_s)
        except TimeoutError:
            return
    if code not in (NORMAL_CODE, NO_STATUS_CODE):
        raise _ended(code, reason)


def _media_url(url: str) -> str:
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = parts.path.rstrip("/")
    if not path.endswith(MEDIA_PATH) and f"{MEDIA_PATH}/ticket/" not in path:
        path += MEDIA_PATH
    return urlunsplit((scheme, parts.netloc, path, "", ""))


async def _refuse_all_but_upgrade(response: aiohttp.ClientResponse) -> None:
    """aiohttp drops a refused upgrade's body, where the server says why, and follows redirects; Twilio does not."""
    if response.history:
        raise ServerUnreachable(f"the server redirects the call to {response.url}: Twilio would not follow; dial that")
    if response.status == 101:
        return
    body = (await response.content.read(4096)).decode("utf-8", "replace")
    try:
        found = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        found = response.reason or "no reason given"
    raise ServerUnreachable(f"the server at {response.url} refused the call: {response.status} {found}")


def _unreachable(url: str, why: str) -> ServerUnreachable:
    return ServerUnreachable(f"no server answers at {url} ({why}): start `transcriber serve`, or name one with --url")


def _ended(code: int, reason: str) -> ServerUnreachable:
    if code == LOST_CODE:
        return ServerUnreachable("the connection to the server was lost during the call; see the server's log")
    return ServerUnreachable(f"the server ended the call: close code {code} {reason}".rstrip())
