"""TLS served directly: the certificate of the settings, taken anew when its files change, without touching a call."""

import asyncio
import logging
import math
import os
import ssl
from pathlib import Path

from transcriber.errors import ConfigError
from transcriber.web.transport.certificate_expiry import expiry_s

LOOK_EVERY_S = 1.0

log = logging.getLogger(__name__)


class Certificate:
    """A certificate with its key; `context` is what to listen with. Raises ConfigError when they are of no use."""

    def __init__(self, cert: str, key: str = "") -> None:
        self._cert = cert
        self._key = key or cert
        self.expiry_s = math.nan
        """Epoch seconds at which the certificate that new connections get ends; not a number if that is not known."""
        self._stamp = self._looked_at()
        self._current = self._loaded()
        self.context = self._loaded()
        # A connection takes the newest when it begins. Loading into a context in use could leave half a pair in it.
        self.context.sni_callback = self._take_newest

    def refresh(self) -> bool:
        """Look at the files; whether they hold another certificate now. What is of no use is logged and not served."""
        stamp = self._looked_at()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._current = self._loaded()
        except ConfigError as error:
            log.error("the certificate in use stays: %s", error)
            return False
        log.info("new connections get the certificate that is in %s now", self._cert)
        return True

    async def watch(self) -> None:
        """Look again and again, as long as the server runs."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.refresh()

    def _take_newest(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            # A key behind a passphrase is an error: nobody is there to be asked.
            context.load_cert_chain(self._cert, self._key, password="")
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise ConfigError(
                f"TRANSCRIBER_TLS_CERT {self._cert} and TRANSCRIBER_TLS_KEY {self._key} cannot be used: {why}"
            ) from None
        self.expiry_s = _expiry_s(self._cert)
        return context

    def _looked_at(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in (self._cert, self._key))


def _expiry_s(path: str) -> float:
    try:
        return expiry_s(Path(path).read_text("ascii", "replace"))
    except (OSError, ValueError):
        return math.nan  # OpenSSL takes it all the same


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
