"""Whether a request comes straight from a program of this machine, which stands in for keys while nothing is set.

It is as strict as it can be, and yet proves nothing: a proxy or tunnel on this machine has a loopback address too, and
one that adds no header and sends a loopback Host looks like a program. `Settings.exposed` says when it does not count.
"""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import HttpVersion11, web

from transcriber.settings.host_address import is_loopback

# Beginnings of the names of headers that proxies, tunnels, load balancers and CDNs add, and programs do not, in lower
# case: the standards' (RFC 7230, 7239, 8586), then what everybody does, then the products', by name.
PROXY_HEADERS = (
    *("via", "forwarded", "max-forwards", "proxy-", "cdn-loop", "surrogate-"),
    *("x-forward", "x-original-", "x-real-", "x-client-", "x-cluster-", "x-remote-", "x-proxy", "x-rewrite-", "x-host"),
    "x-other-servers",
    *("client-ip", "true-client-ip", "x-true-client-ip", "remote-", "x-source-ip", "x-ssl-", "ssl-client-", "x-cache"),
    *("x-request-start", "x-http-host-override", "z-forwarded-", "x-coming-", "wl-proxy-", "disguised-host"),
    *("cf-", "cloudfront-", "x-amz-cf-", "x-amzn-", "fastly-", "akamai-", "x-akamai-", "incap-", "x-sucuri-", "fly-"),
    *("x-envoy-", "x-varnish", "x-goog-", "x-google-", "x-cloud-trace-", "x-appengine-", "x-arr-", "x-azure-"),
    *("x-appgw-", "x-waws-", "x-ms-proxy", "x-vercel-", "x-nf-", "x-railway-", "do-connecting-", "rndr-"),
    *("tailscale-", "ngrok-trace", "ngrok-agent", "x-ngrok-", "x-pomerium-", "x-authentik-", "x-auth-request-"),
)


def is_local(request: web.Request) -> bool:
    """Whether a client on this machine speaks to us directly, as far as can be seen.

    Proxies are told by their headers, by HTTP/1.0 and by a missing Host. The Host header also stops DNS rebinding;
    Origin stops foreign web pages in a browser on this machine, and Sec-Fetch-Site their images and links.
    """
    hosts, origins = request.headers.getall("Host", ()), request.headers.getall("Origin", ())
    sites = request.headers.getall("Sec-Fetch-Site", ())
    return (
        _loopback_peer(request.remote or "")
        and request.version >= HttpVersion11
        and request.raw_path.startswith("/")  # whole addresses are asked of proxies
        and len(hosts) == 1
        and _loopback_name(hosts[0])
        and all(_loopback_page(origin) for origin in origins)
        and not any(site.strip().lower() == "cross-site" for site in sites)
        and not any(name.lower().replace("_", "-").startswith(PROXY_HEADERS) for name in request.headers)
    )


def _loopback_peer(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def _loopback_page(origin: str) -> bool:
    scheme, _, netloc = origin.partition("://")
    return scheme in ("http", "https") and _loopback_name(netloc)


def _loopback_name(netloc: str) -> bool:
    try:
        return not set("@/?#\\") & set(netloc) and is_loopback(urlsplit(f"//{netloc}").hostname or "")
    except ValueError:
        return False
