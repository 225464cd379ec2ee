"""The one error tree: every exception raised on purpose. How an edge words it to its users does not live here."""


class TranscriberError(Exception):
    """Base of all errors raised on purpose; the message is one line that says what to do."""


class ConfigError(TranscriberError):
    """A setting is unknown, malformed or contradicts another one."""


class ExtraMissing(TranscriberError):
    """A command needs a package that the server does not; the message names the extra that brings it."""


class ModelError(TranscriberError):
    """A model folder is absent, incomplete or of a kind Vosk would abort on."""


class UnknownModel(ModelError):
    """No model of that name, neither here nor in the catalogue; the message names the nearest."""


class SourceFailed(ModelError):
    """A model could not be had from one source: away, cut, refused, or not the bytes that were promised."""


class NotEnoughSpace(ModelError):
    """The disk has not enough free space for a model; another source would not help."""


class RecognitionError(TranscriberError):
    """A track cannot be recognised any further; others can."""


class CompileError(TranscriberError):
    """A model's graph could not be composed: tools, memory or disk are lacking, or the result is not the same."""


class StoreError(TranscriberError):
    """Redis did not do what was asked: away, too slow, refusing.

    `reason`: why, in one word that holds nothing secret: away, loading, readonly, replicas, full, disk, refused, busy,
    error.
    """

    def __init__(self, message: str, *, reason: str = "error") -> None:
        super().__init__(message)
        self.reason = reason


class StreamStateMismatch(StoreError):
    """The store does not hold a stream as it was left: forgotten, set back, or ended because its server seemed dead.

    `written`: its last write the store knows, None if it does not know the stream. Opening it again says how to go on.
    """

    def __init__(self, written: int | None) -> None:
        super().__init__("Redis does not hold the stream as it was left")
        self.written = written


class StreamTaken(StoreError):
    """The store holds a stream of that sid as another server's: it must be refused here, or go by another name."""

    def __init__(self) -> None:
        super().__init__("the stream belongs to another server")


class CallDeleted(StoreError):
    """The call was deleted after the stream had begun: nothing of the stream is kept any more."""

    def __init__(self) -> None:
        super().__init__("the call was deleted")


class PrivateRedisError(StoreError):
    """The private redis-server could not be found, started or reached."""


class CallNotFound(TranscriberError):
    """No such call in the history."""


class CallIsLive(TranscriberError):
    """The call is still running, so it cannot be deleted."""


class TelephonyError(TranscriberError):
    """Twilio did not start or stop a stream; `status` and `code` are what the HTTP API answers."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class BadRequest(TranscriberError):
    """A request's parameter is malformed; the message names it."""


class Busy(TranscriberError):
    """Too much of that kind is asked for at once; the same may be asked again in some seconds."""


class AudioFileError(TranscriberError):
    """A recording is absent, or not a PCM or mu-law wav file of one or two channels."""


class ReceiverGone(TranscriberError):
    """A webhook's receiver has said that it wants no more events."""


class ServerUnreachable(TranscriberError):
    """The command line found no server, or the server refused it."""
