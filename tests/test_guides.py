"""The guides show what is there: commands that parse, settings, files of the code, pictures of a modest size."""

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from transcriber.cli.main import build_parser
from transcriber.settings.definition import Settings

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs/pages"
GUIDES = [SITE / "index.md", SITE / "tutorial.md", SITE / "glossary.md", *sorted((SITE / "how-to").glob("*.md"))]
PAGES = [*GUIDES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "models/README.md"))]
PROGRAM = ".venv/bin/transcriber"
MAX_PICTURE_BYTES = 600_000


def commands(text: str) -> list[list[str]]:
    """The arguments of each run of the program that a page shows."""
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    found = []
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        for at, word in enumerate(words):
            if word == PROGRAM and "xargs" not in words[max(at - 2, 0) : at]:
                end = next((i for i in range(at, len(words)) if re.fullmatch(r"[|&;<>()]+", words[i])), len(words))
                found.append(words[at + 1 : end])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_shows_is_one(page: Path) -> None:
    for arguments in commands(page.read_text()):
        build_parser().parse_args(arguments)


def test_the_guides_show_commands() -> None:
    assert sum(len(commands(page.read_text())) for page in PAGES) > 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_a_page_names_is_one(page: Path) -> None:
    settings = {item.name.upper() for item in dataclasses.fields(Settings)}
    for name in re.findall(r"TRANSCRIBER_([A-Z_]*[A-Z])", page.read_text()):
        assert name.removesuffix("_FILE") in settings, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    for name in re.findall(r"`((?:transcriber|tests|bench|deploy|docs|models)/[\w/.-]+)`", page.read_text()):
        assert (ROOT / name).exists(), name


def test_the_pictures_are_small_and_shown() -> None:
    pictures = list((SITE / "images").glob("*.png"))
    assert sum(picture.stat().st_size for picture in pictures) < MAX_PICTURE_BYTES
    text = "".join(page.read_text() for page in GUIDES)
    assert [picture.name for picture in pictures if f"images/{picture.name}" not in text] == []
