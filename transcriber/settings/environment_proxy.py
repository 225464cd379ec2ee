"""Which of the environment's proxies (HTTPS_PROXY, HTTP_PROXY, NO_PROXY) leads to a URL."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from transcriber.settings.host_address import is_loopback


def proxy_for(url: str) -> str | None:
    """The proxy's URL; None without one, and for this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return None if is_loopback(host) or proxy_bypass(host) else getproxies().get(parts.scheme)
