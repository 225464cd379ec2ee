"""`transcriber key`: a new API key, and the entry for the settings that admits it without telling it."""

import argparse
import secrets
import sys

from transcriber.cli.parsing import Subparsers, add_command
from transcriber.core import api_keys

RANDOM_BYTES = 32
PREFIX = "tk_"
"""So that a key that got lost is found by whoever scans files for secrets."""
SHORTEST = 24


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
        """,
    )
    parser.add_argument(
        "roles", nargs="?", default="admin", metavar="ROLES", help="read, delete, admin (default), or read+delete"
    )
    parser.add_argument("--hash", action="store_true", help="make none: read a key from standard input")


def run(args: argparse.Namespace) -> int:
    """Print the key on stdout's first line and the entry on its second (with `--hash` only the entry)."""
    if not api_keys.parse_roles(args.roles):
        args.usage_error(f"{args.roles!r} is no role; roles: {', '.join(api_keys.NAMES)}, joined by +")
    if args.hash:
        secret = sys.stdin.readline().strip()
        if len(secret) < SHORTEST:
            args.usage_error(f"a hash hides only what cannot be guessed: {SHORTEST} characters at least")
    else:
        secret = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
        print(secret)
        print("the key, shown only now; for TRANSCRIBER_API_KEYS:", file=sys.stderr)
    print(api_keys.written(args.roles.lower(), secret))
    return 0
