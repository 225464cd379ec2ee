"""`transcriber key`: a new API key, and the entry for the settings that admits it without telling it."""

import argparse
import sys

from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.http_client import add_config_flag
from transcriber.errors import ConfigError
from transcriber.settings import api_keys, local_key
from transcriber.settings.definition import load_settings

MIN_KEY_CHARS = 24


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "key",
        run=run,
        summary="make an API key: the key for its user, its hash for the settings",
        examples="""
            transcriber key
            transcriber key read
            transcriber key read+delete
            transcriber key read --hash < key.txt
            transcriber key --local
        """,
    )
    parser.add_argument(
        "roles", nargs="?", default="admin", metavar="ROLES", help="read, delete, admin (default), or read+delete"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--hash", action="store_true", help="make none: read a key from standard input")
    what.add_argument("--local", action="store_true", help="make none: show the one that this machine's server made")
    add_config_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Print the key on stdout's first line and the entry on its second (with `--hash` only the entry)."""
    if args.local:
        return _show_local(args)
    if not api_keys.parse_roles(args.roles):
        args.usage_error(f"{args.roles!r} is no role; roles: {', '.join(api_keys.ROLE_NAMES)}, joined by +")
    if args.hash:
        secret = sys.stdin.readline().strip()
        if len(secret) < MIN_KEY_CHARS:
            args.usage_error(f"a hash hides only what cannot be guessed: {MIN_KEY_CHARS} characters at least")
    else:
        secret = api_keys.generate()
        print(secret)
        print("the key, shown only now; for TRANSCRIBER_API_KEYS:", file=sys.stderr)
    print(api_keys.settings_entry(args.roles.lower(), secret))
    return 0


def _show_local(args: argparse.Namespace) -> int:
    """The key that the settings' server made for itself, and the page's address with it. Raises ConfigError."""
    settings = load_settings(config=args.config).settings
    key = local_key.find(settings.data_dir)
    if key is None:
        raise ConfigError(
            f"there is no {local_key.path_of(settings.data_dir)}: a server makes it at its first start with "
            "TRANSCRIBER_PUBLIC_URL, TRANSCRIBER_TWILIO_AUTH_TOKEN, TRANSCRIBER_TRUSTED_PROXIES or a TRANSCRIBER_HOST "
            "beyond loopback, and without TRANSCRIBER_API_KEYS"
        )
    print(key)
    print(f"the page: {settings.local_url}/#key={key}", file=sys.stderr)
    return 0
