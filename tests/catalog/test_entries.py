"""The catalogue: complete, found by what users type, completed by the official list."""

from pathlib import Path
from typing import Any

import pytest

from transcriber.catalog import entries
from transcriber.catalog.entries import Catalogue, Entry
from transcriber.errors import ModelError, UnknownModel

ROW: dict[str, Any] = {
    "lang": "en-us",
    "lang_text": "US English",
    "md5": "09ab50ccd62b674cbaa231b825f9c1cb",
    "name": "vosk-model-small-en-us-0.15",
    "obsolete": "false",
    "size": 41205931,
    "size_text": "39.3MiB",
    "type": "small",
    "url": "https://alphacephei.com/vosk/models/vosk-model-small-en-us-0.15.zip",
    "version": "0.15",
}


@pytest.fixture(scope="module")
def ours() -> Catalogue:
    return entries.load()


def test_every_entry_can_be_pulled_and_says_its_licence(ours: Catalogue) -> None:
    assert len({entry.name for entry in ours.entries}) == len(ours.entries) > 40
    for entry in ours.entries:
        assert entry.licence, entry.name
        assert entry.size > 20_000_000, entry.name
        assert entry.sources[0] == f"https://alphacephei.com/vosk/models/{entry.name}.zip"
        assert ("small" in entry.name) == (entry.kind == "small"), entry.name


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("en", "vosk-model-small-en-us-0.15"),
        ("EN_US", "vosk-model-small-en-us-0.15"),
        ("en-in", "vosk-model-small-en-in-0.4"),
        ("ko", "vosk-model-small-ko-0.22"),
        ("cn", "vosk-model-small-cn-0.22"),
        ("zh", "vosk-model-small-cn-0.22"),
        ("el", "vosk-model-el-gr-0.7"),
        ("vosk-model-en-us-0.22", "vosk-model-en-us-0.22"),
        ("small-de-0.15", "vosk-model-small-de-0.15"),
    ],
)
def test_names_and_languages_are_understood(ours: Catalogue, wanted: str, name: str) -> None:
    assert ours.resolve(wanted).name == name


def test_an_unknown_name_is_answered_with_the_nearest(ours: Catalogue) -> None:
    with pytest.raises(UnknownModel, match=r"did you mean vosk-model-small-en-us-0\.15"):
        ours.resolve("vosk-model-smal-en-us-0.15")
    with pytest.raises(UnknownModel, match=r"`transcriber models list` shows them all"):
        ours.resolve("qqqqqqqqqqqqqqqq")


def test_the_official_list_as_it_is() -> None:
    [entry] = entries.parse_official_list([ROW])
    assert entry == Entry(
        name=ROW["name"], language="en-us", kind="small", sources=(ROW["url"],), size=ROW["size"], md5=ROW["md5"]
    )
    assert entries.parse_official_list([ROW | {"lang": "cn"}])[0].language == "zh"
    assert entries.parse_official_list([ROW | {"md5": None, "size": "?"}])[0].md5 == ""


@pytest.mark.parametrize(
    "other",
    [
        {"obsolete": "true"},
        {"type": "spk"},
        {"type": None},
        {"name": "../evil"},
        {"name": ".hidden"},
        {"name": "a/b"},
        {"name": 5},
        {"url": "file:///etc/passwd"},
        {"url": None},
    ],
)
def test_rows_that_are_not_for_us_are_passed_over(other: dict[str, Any]) -> None:
    assert entries.parse_official_list([ROW | other, "a string", None]) == []


@pytest.mark.parametrize("data", [{}, "list", None, 5])
def test_what_is_no_list_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="not a list of models"):
        entries.parse_official_list(data)


def test_the_list_completes_the_catalogue(ours: Catalogue) -> None:
    newer = ROW | {"md5": "0" * 32, "size": 5}
    unknown = ROW | {"name": "vosk-model-small-xx-0.1", "lang": "xx"}
    both = ours.merged_with(entries.parse_official_list([newer, unknown]))
    known = both.resolve("en")
    assert (known.md5, known.size, known.licence) == ("0" * 32, 5, "Apache-2.0")
    assert both.entries[-1].name == "vosk-model-small-xx-0.1"
    assert both.resolve("xx").licence == ""
    assert len(both.entries) == len(ours.entries) + 1


@pytest.mark.parametrize(
    "text",
    [
        "[[model]\n",
        "x = 1",
        '[[model]]\nname = "x"',
        '[[model]]\nname = "../x"\nlanguage = "en"\nkind = "small"\nsources = ["https://h/x"]',
        '[[model]]\nname = "x"\nlanguage = "en"\nkind = "huge"\nsources = ["https://h/x"]',
        '[[model]]\nname = "x"\nlanguage = "en"\nkind = "small"\nsources = ["ftp://h/x"]',
        '[[model]]\nname = "x"\nlanguage = "en"\nkind = "small"\nmd5 = "12"\nsources = ["https://h/x"]',
        '[[model]]\nname = "x"\nlanguage = "en"\nkind = "small"\ncolour = "red"\nsources = ["https://h/x"]',
    ],
)
def test_a_malformed_catalogue_is_one_clear_error(text: str, tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(text)
    with pytest.raises(ModelError, match=r"catalog\.toml"):
        entries.read(file)
