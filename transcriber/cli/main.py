"""The entry point: the command line's parser, and errors as one line on stderr with an exit status."""

import argparse
import errno
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

from transcriber import __version__
from transcriber.cli.command import Command
from transcriber.cli.terminal_text import print_status
from transcriber.errors import ConfigError, TranscriberError

COMMANDS = (
    *("serve", "replay", "demo", "tail", "calls", "show", "rm", "models", "attach", "detach", "key", "webhook"),
    *("check", "health", "reindex", "bench", "size"),
)
"""Each is a module beside this one, imported when it is asked for: all of them take a fifth of a second more."""
FAILED, USAGE, INTERRUPTED = 1, 2, 130
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""A disk or quota that is full, a file system for reading only, a broken disk."""


def main(
    argv: Sequence[str] | None = None, *, commands: Sequence[Command] = (), begin: Callable[[], None] = lambda: None
) -> int:
    """Run one of `commands`, or of COMMANDS: 0 done, 1 failed, 2 wrong settings, 130 interrupted.

    `begin` is called when the command is imported and its arguments are read. Usage errors leave as argparse does.
    """
    # Without a handler Python would write warnings of the adapters on stderr; `serve` sets up its own log.
    logging.getLogger("transcriber").addHandler(logging.NullHandler())
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # any language's words, whatever the terminal can show
    try:
        try:
            args = build_parser(commands or _asked_for(argv)).parse_args(argv)
            begin()
            return int(args.run(args))
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has had enough. Nothing more may be written, also not by the interpreter on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except TranscriberError as error:
        print_status(str(error))
        return USAGE if isinstance(error, ConfigError) else FAILED
    except Exception as error:
        logging.getLogger("transcriber").debug("internal error", exc_info=True)
        print_status(_told(error))
        return FAILED


def _told(error: Exception) -> str:
    """A disk that takes nothing more is the machine's matter; anything else that gets here is the program's."""
    if isinstance(error, OSError) and error.errno in UNWRITABLE:
        return f"cannot write: {error.strerror}" + (f": {error.filename}" if error.filename else "")
    return f"internal error, please report it: {type(error).__name__}: {error}"


def _open_closed_streams() -> None:
    """Where a standard stream is closed (`>&-`) there is nobody: no reader, and no file that is opened later."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # the lowest free one is opened
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def build_parser(commands: Sequence[Command] = ()) -> argparse.ArgumentParser:
    """The parser of these commands; without any, of all COMMANDS."""
    parser = argparse.ArgumentParser(
        prog="transcriber",
        description="Self-hosted, real-time transcription of telephone calls.",
        epilog="examples:\n  transcriber demo              try it: a server, a sample call, its captions\n"
        "  transcriber serve             run the server\n"
        "  transcriber replay call.wav   play a recording to it as Twilio would",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"transcriber {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in commands or _loaded(COMMANDS):
        command.add(subparsers)
    return parser


def _asked_for(argv: Sequence[str] | None) -> Sequence[Command]:
    """The command that stands first; all of them for whoever asks what there is, or mistypes."""
    first = list(sys.argv[1:] if argv is None else argv)[:1]
    return _loaded(first if first and first[0] in COMMANDS else COMMANDS)


def _loaded(names: Sequence[str]) -> Sequence[Command]:
    return [cast(Command, import_module(f"transcriber.cli.{name}")) for name in names]
