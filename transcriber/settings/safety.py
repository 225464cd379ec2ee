"""What settings must say together before a server listens with them; a client needs none of it."""

from transcriber.errors import ConfigError
from transcriber.settings.definition import Settings
from transcriber.settings.host_address import is_loopback


def require_safe(settings: Settings) -> None:
    """Raises ConfigError that says what is missing."""
    if settings.tls_key and not settings.tls_cert:
        raise ConfigError("TRANSCRIBER_TLS_KEY is set but TRANSCRIBER_TLS_CERT is not: a certificate is needed too")
    if settings.twilio_auth_token and not settings.public_url:
        raise ConfigError(
            "TRANSCRIBER_TWILIO_AUTH_TOKEN is set but TRANSCRIBER_PUBLIC_URL is not: "
            "signatures cover the address Twilio dials, so set it (for example https://media.example.net)"
        )
    if settings.reuse_port and not settings.redis_url:
        raise ConfigError(
            "TRANSCRIBER_REUSE_PORT is set but TRANSCRIBER_REDIS_URL is not: servers that share a port need one "
            "Redis, or each would know only its own calls"
        )
    if settings.no_media and not settings.redis_url:
        raise ConfigError(
            "TRANSCRIBER_NO_MEDIA is set but TRANSCRIBER_REDIS_URL is not: a server that takes no streams shows those "
            "of others, on the Redis of these"
        )
    if settings.port and settings.metrics_address == f"{settings.host}:{settings.port}":
        raise ConfigError(
            "TRANSCRIBER_METRICS_ADDRESS is the address of the server itself: name another port, or leave it empty "
            "to have the metrics there"
        )
    if not (settings.insecure or settings.twilio_auth_token or settings.api_keys or is_loopback(settings.host)):
        raise ConfigError(
            f"listening on {settings.host} without TRANSCRIBER_TWILIO_AUTH_TOKEN or TRANSCRIBER_API_KEYS would let "
            "anybody in: set one of them, or TRANSCRIBER_INSECURE=1 if the network is yours"
        )
