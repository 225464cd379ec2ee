"""The one error tree: every exception raised on purpose. How an edge words it to its users does not live here."""


class TranscriberError(Exception):
    """Base of all errors raised on purpose; the message is one line that says what to do."""


class ConfigError(TranscriberError):
    """A setting is unknown, malformed or contradicts another one."""


class ModelError(TranscriberError):
    """A model folder is absent, incomplete or of a kind Vosk would abort on."""


class CompileError(TranscriberError):
    """A model's graph could not be composed: tools, memory or disk are lacking, or the result is not the same."""


class StoreError(TranscriberError):
    """Redis did not do what was asked: away, too slow, refusing."""


class EmbeddedRedisError(StoreError):
    """The private redis-server could not be found, started or reached."""


class CallNotFound(TranscriberError):
    """No such call in the history."""


class CallIsLive(TranscriberError):
    """The call is still running, so it cannot be deleted."""


class BadRequest(TranscriberError):
    """A request's parameter is malformed; the message names it."""


class AudioFileError(TranscriberError):
    """A recording is absent, or not a PCM or mu-law wav file of one or two channels."""


class ServerUnreachable(TranscriberError):
    """The command line found no server, or the server refused it."""
