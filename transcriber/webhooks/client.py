"""The HTTP client of a webhook: signed POSTs to the receiver, a bounded number at once, and the pauses it asks for."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from transcriber import __version__
from transcriber.errors import ConfigError
from transcriber.observability.log_rate_limit import LogRateLimiter
from transcriber.settings.environment_proxy import proxy_for
from transcriber.settings.host_address import is_loopback
from transcriber.webhooks import retry_policy, signing
from transcriber.webhooks.queue import WebhookEvent

KEEPALIVE_S = 4.0
"""An idle connection; many receivers close theirs after five seconds, and a post on a closed one is a failed try."""
MAX_ANSWER_BYTES = 64 * 1024
"""Bytes of an answer's body that are read, so that the connection can be used again; a longer one closes it."""


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What became of one try. `status`: the HTTP status or the kind of failure, without any of the receiver's words.

    `asked_delay_s`: what its Retry-After asks for.
    """

    verdict: retry_policy.Verdict
    status: str
    asked_delay_s: float = 0.0


class LeaseLost(Exception):
    """The call is another process's by now."""


def checked_url(url: str, *, allow_http: bool) -> str:
    """The URL, if events may be sent there. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or parts.port == 0
    except ValueError:
        wrong = True
    if wrong:
        raise ConfigError("the webhook's URL must look like https://host[:port]/path")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("the webhook's URL must not hold a password: every user of this machine could read it")
    if parts.scheme == "http" and not (allow_http or is_loopback(parts.hostname or "")):
        raise ConfigError("transcripts would leave unencrypted: use https, or --allow-http if the network is yours")
    return url


class WebhookClient:
    """An async context manager: it holds the HTTP session. `keys`: of the secrets; `concurrency`: POSTs at once."""

    def __init__(self, url: str, keys: Sequence[bytes], *, timeout_s: float, concurrency: int) -> None:
        self.url = url
        self._keys = keys
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._slots = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._quiet_until = 0.0
        self._log_limiter = LogRateLimiter(lines=1)
        self._failing = False

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._concurrency, keepalive_timeout=KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Content-Type": "application/json", "User-Agent": f"transcriber/{__version__}"},
            timeout=self._timeout,
            proxy=proxy_for(self.url),  # asked once: aiohttp would ask in a thread, for every request
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    @property
    def quiet_s(self) -> float:
        """How long the receiver wants no requests at all."""
        return max(0.0, self._quiet_until - time.monotonic())

    async def post(self, event: WebhookEvent, *, ours: Callable[[], bool]) -> DeliveryResult:
        """One try, as soon as there is a slot. Raises LeaseLost if the event is not `ours` any more by then."""
        async with self._slots:
            if not ours():
                raise LeaseLost
            result = await self._post(event)
        self._log(result)
        return result

    async def _post(self, event: WebhookEvent) -> DeliveryResult:
        body = event.json.encode("utf-8", "surrogatepass")
        identifier = signing.message_id(event.call_sid, event.seq)
        signed = signing.headers(self._keys, identifier=identifier, at_s=int(time.time()), body=body)
        try:
            async with self._session.post(self.url, data=body, headers=signed, allow_redirects=False) as response:
                result = self._result(response)
                await _drain(response)
                return result
        except TimeoutError:
            return DeliveryResult("failed", "timeout")
        except aiohttp.ClientConnectorCertificateError:
            return DeliveryResult("failed", "certificate")
        except aiohttp.ClientConnectorError:
            return DeliveryResult("failed", "unreachable")
        except (aiohttp.ClientError, OSError):
            return DeliveryResult("failed", "broken")

    def _log(self, result: DeliveryResult) -> None:
        """Failures when they begin, then once a minute, and their end."""
        if result.verdict == "failed":
            message = "the receiver does not take every event (%s); trying again"
            self._log_limiter.log(log, logging.WARNING, "failed posts to the receiver", message, result.status)
            self._failing = True
        elif result.verdict == "delivered" and self._failing:
            self._failing = False
            log.info("the receiver takes events")

    def _result(self, response: aiohttp.ClientResponse) -> DeliveryResult:
        asked_s = retry_policy.asked_delay_s(response.headers.get("Retry-After"), now_s=time.time())
        if response.status in retry_policy.BUSY_STATUSES and asked_s:
            self._quiet_until = max(self._quiet_until, time.monotonic() + asked_s)
        return DeliveryResult(retry_policy.classify_status(response.status), str(response.status), asked_s)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """So that the connection can be used again; what the status said counts, whatever becomes of the body."""
    try:
        whole = len(await response.content.read(MAX_ANSWER_BYTES)) < MAX_ANSWER_BYTES
    except (TimeoutError, aiohttp.ClientError, OSError):
        whole = False
    if not whole:
        response.close()
