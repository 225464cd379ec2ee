"""How often somebody may ask: every API key by itself, everybody else by address; 429 says when to come back.

A good key or signature is never held up by what strangers do at the same address: behind a proxy all share it.
"""

import math
import time
from collections.abc import Hashable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from transcriber.settings.definition import Settings
from transcriber.web.access import authorization, twilio_requests
from transcriber.web.api.errors import HttpRefusal
from transcriber.web.limits.token_bucket import TokenBuckets
from transcriber.web.services import SERVICES
from transcriber.web.transport.client_address import IPv4Or6, Networks, address_key, limit_key, networks, parsed, within

FREE_ROUTES = frozenset({"/healthz", "/readyz", "/metrics"})
COUNTS_AS_REFUSED = web.RequestKey("counts_as_refused", bool)
"""Set by a media stream that never became one, through its sender's fault."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What has been spent, by API key and by address, and which peers may say whose address that is."""

    keys: TokenBuckets
    addresses: TokenBuckets
    proxies: Networks

    @classmethod
    def of(cls, settings: Settings) -> "RateLimits":
        """Limits of the settings, of which nothing is spent."""
        return cls(
            TokenBuckets(settings.rate_per_key),
            TokenBuckets(settings.rate_per_address),
            networks(settings.trusted_proxies),
        )


@dataclass(frozen=True, slots=True)
class _Account:
    """Whose tokens a request takes."""

    buckets: TokenBuckets
    name: Hashable


RATE_LIMITS = web.AppKey("rate_limits", RateLimits)
_ACCOUNT = web.RequestKey("account", _Account)


@web.middleware
async def rate_limited(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Charges the request to its key or its address; health and metrics are free."""
    resource = request.match_info.route.resource
    route = "" if resource is None else resource.canonical
    if route in FREE_ROUTES:
        return await handler(request)
    limits = request.app[RATE_LIMITS]
    key = authorization.key_of(request)
    if key is not None:
        wait_s = limits.keys.charge(key.digest, time.monotonic())
        request[_ACCOUNT] = _Account(limits.keys, key.digest)
        return _too_many(request, "this key", "KEY", wait_s) if wait_s else await handler(request)
    if authorization.trusts_this_machine(request):
        return await handler(request)
    signed = route in authorization.SIGNED_ROUTES and bool(request.app[SERVICES].settings.twilio_auth_token)
    if signed or route in authorization.MEDIA_ROUTES:
        return await _charged_if_refused(request, handler, limits.addresses, signed=signed)
    wait_s = limits.addresses.charge(address_of(request), time.monotonic())
    return _too_many(request, "this address", "ADDRESS", wait_s) if wait_s else await handler(request)


async def _charged_if_refused(
    request: web.Request, handler: Handler, addresses: TokenBuckets, *, signed: bool
) -> web.StreamResponse:
    """Twilio dials from few addresses, so only what was refused is charged; credentials are checked in any case."""
    name = address_of(request)
    wait_s = addresses.wait_s(name, time.monotonic())
    if wait_s and not signed and not twilio_requests.ticket_of(request):
        return _too_many(request, "this address", "ADDRESS", wait_s)
    request[twilio_requests.ADDRESS_OVERDRAWN] = wait_s > 0
    response = await handler(request)
    refused = (
        response.status == 403 if signed else 400 <= response.status < 500 or request.get(COUNTS_AS_REFUSED, False)
    )
    if refused:
        wait_s = addresses.charge(name, time.monotonic())
        if wait_s and not response.prepared:
            return _too_many(request, "this address", "ADDRESS", wait_s)
    return response


def charge_more(request: web.Request, more: int) -> None:
    """The request takes `more` tokens than one: whose it is waits the longer for the next ones."""
    if _ACCOUNT in request:
        request[_ACCOUNT].buckets.debit(request[_ACCOUNT].name, more, time.monotonic())


def address_of(request: web.Request) -> str:
    """Whom the request is charged to: the peer, or whom trusted proxies say they speak for; of IPv6 the /64."""
    return address_key(_client(request))


def limit_key_of(request: web.Request) -> str:
    """The same, but empty for this machine and for proxies that do not say whom they speak for."""
    return limit_key(_client(request), request.app[RATE_LIMITS].proxies)


def _client(request: web.Request) -> IPv4Or6 | None:
    proxies = request.app[RATE_LIMITS].proxies
    path = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
    address = parsed(request.remote or "")
    while path and address is not None and within(address, proxies):
        before = parsed(path.pop().strip())
        if before is None:
            break
        address = before
    return address


def _too_many(request: web.Request, who: str, setting: str, wait_s: float) -> web.Response:
    seconds = math.ceil(wait_s)
    message = f"too many requests of {who} (TRANSCRIBER_RATE_PER_{setting} is the limit); try again in {seconds} s"
    return authorization.counted(request, HttpRefusal(429, message, {"Retry-After": str(seconds)})).response()
