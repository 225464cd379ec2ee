"""Every command, its arguments and options, out of the parser itself.

Not argparse's own help text: its form differs between versions of Python.
"""

import argparse
import dataclasses
from collections.abc import Iterator

from docs.reference.markdown import code, prose, sentence, table
from transcriber.cli.main import build_parser
from transcriber.settings.definition import Settings

# Every command has these; said once on the page.
EVERYWHERE = {"-h", "--version"}
SETTINGS = {item.name for item in dataclasses.fields(Settings)}
SETTINGS |= {f"{name}_file" for name in SETTINGS}


def sections() -> str:
    """A section a command."""
    return "\n\n".join(text for name, parser in _commands(build_parser()) for text in _section(name, parser))


def _commands(parser: argparse.ArgumentParser, before: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command and sub-command by its name, in the order of `transcriber --help`."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, found in action.choices.items():
                yield f"{before}{name}", found
                yield from _commands(found, f"{before}{name} ")


def _section(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    actions = [action for action in parser._actions if not _left_out(action)]
    yield f"## transcriber {name}"
    yield prose(parser.description or "")
    nested = [action for action in actions if isinstance(action, argparse._SubParsersAction)]
    rows = [(_spelled(action), _meaning(action)) for action in actions if action not in nested]
    if rows:
        yield table(("argument", "meaning"), rows)
    if {action.dest for action in parser._actions} >= {"host", "redis_url"}:
        yield "Every setting is an option too: see [Settings](settings.md)."
    for action in nested:
        yield f"It has the commands {', '.join(map(code, action.choices))}, each with a section below."
    examples = (parser.epilog or "").removeprefix("examples:\n")
    if examples:
        yield "\n".join(["```bash", *(line.strip() for line in examples.splitlines()), "```"])


def _left_out(action: argparse.Action) -> bool:
    if isinstance(action, argparse._SubParsersAction):
        return False
    a_setting = action.dest in SETTINGS and action.metavar in ("VALUE", "FILE")
    return action.help == argparse.SUPPRESS or a_setting or not EVERYWHERE.isdisjoint(action.option_strings)


def _spelled(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None and action.metavar is None:
        metavar = "{" + ",".join(map(str, action.choices)) + "}"
    value = "" if action.nargs == 0 else metavar.strip()
    value += {"+": " …", "*": " …"}.get(str(action.nargs), "")
    if not action.option_strings:
        return code(f"[{value}]" if action.nargs in ("?", "*") else value)
    return code(" ".join(filter(None, (", ".join(action.option_strings), value))))


def _meaning(action: argparse.Action) -> str:
    text = sentence(action.help or "")
    default = action.default
    told = default in (None, "", False) or default == [] or "(" in text or "efault" in text
    return text if told else f"{text} Default: {code(_number(default))}."


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
