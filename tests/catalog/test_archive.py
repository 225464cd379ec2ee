"""Archives: the model in them is found and written; hostile and damaged ones are refused before anything is."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from tests.catalog.archive_server import NAME, parts_of_demo, zipped
from transcriber.catalog import archive
from transcriber.errors import ModelError

MODEL: list[tuple[str | zipfile.ZipInfo, bytes]] = [(f"{NAME}/am/final.mdl", b"model"), (f"{NAME}/README", b"read")]


def special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def saved(data: bytes, folder: Path) -> Path:
    path = folder / "model.zip"
    path.write_bytes(data)
    return path


HOSTILE: dict[str, tuple[list[tuple[str | zipfile.ZipInfo, bytes]], str]] = {
    "up": ([("../evil", b"x")], "leaves its folder"),
    "up in the middle": ([(f"{NAME}/../../evil", b"x")], "leaves its folder"),
    "absolute": ([("/etc/evil", b"x")], "leaves its folder"),
    "a drive": ([("C:/evil", b"x")], "another system"),
    "backslashes": ([("..\\evil", b"x")], "another system"),
    "a symbolic link": ([(special(f"{NAME}/graph", stat.S_IFLNK | 0o777), b"/etc")], "link or a special file"),
    "a device": ([(special(f"{NAME}/zero", stat.S_IFCHR | 0o666), b"")], "link or a special file"),
    "twice the same": ([(f"{NAME}/readme", b"other")], "a file twice"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused_whole(kind: str, tmp_path: Path) -> None:
    members, says = HOSTILE[kind]
    path = saved(zipped([*MODEL, *members]), tmp_path)
    with pytest.raises(ModelError, match=says):
        archive.inspect(path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.zip"]


def test_bombs_are_refused_by_what_they_announce(tmp_path: Path) -> None:
    path = saved(zipped([*MODEL, (f"{NAME}/zeros", bytes(100 * 1024**2))]), tmp_path)
    assert path.stat().st_size < 200_000
    with pytest.raises(ModelError, match="is a bomb"):
        archive.inspect(path)


def test_bombs_of_many_files_are_refused(tmp_path: Path) -> None:
    path = saved(zipped([*MODEL, *((f"{NAME}/{n}", b"") for n in range(archive.MAX_FILES))]), tmp_path)
    with pytest.raises(ModelError, match="is no model: 5,002 files"):
        archive.inspect(path)


def test_a_header_that_lies_about_the_size_ends_at_its_word(tmp_path: Path) -> None:
    data = bytearray(zipped([*MODEL, (f"{NAME}/graph", b"y" * 100_000)]))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.rfind(signature) + offset
        assert struct.unpack_from("<I", data, at) == (100_000,)
        struct.pack_into("<I", data, at, 10)
    contents = archive.inspect(saved(bytes(data), tmp_path))
    with pytest.raises(ModelError, match="is damaged"):
        contents.unpack(tmp_path / "out")
    assert (tmp_path / "out" / "graph").stat().st_size <= 10


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    data = bytearray(zipped(MODEL))
    data[data.find(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ModelError, match="is encrypted"):
        archive.inspect(saved(bytes(data), tmp_path))


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>not found</html>", zipped(MODEL)[:-30], zipped(MODEL)[:20]],
    ids=["nothing", "a page", "without its end", "its beginning"],
)
def test_what_is_no_zip_is_said(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a zip archive, or a damaged one"):
        archive.inspect(saved(data, tmp_path))


@pytest.mark.parametrize(
    ("names", "says"),
    [(["README", "docs/a.txt"], "holds no Vosk model"), (["a/am/final.mdl", "b/am/final.mdl"], "holds 2 models")],
)
def test_exactly_one_model_is_expected(names: list[str], says: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=says):
        archive.inspect(saved(zipped((name, b"x") for name in names), tmp_path))


@pytest.mark.parametrize("prefix", ["", f"{NAME}/", "vosk_model_xx/model/"])
def test_the_model_is_written_wherever_it_lies_in_the_archive(prefix: str, tmp_path: Path) -> None:
    parts = parts_of_demo()
    beside = [] if not prefix else [("vosk_model_xx-0.1.dist-info/METADATA", b"m"), ("__MACOSX/._x", b"m")]
    path = saved(zipped([*((prefix + part, data) for part, data in parts), *beside]), tmp_path)
    contents = archive.inspect(path)
    assert contents.size_bytes == sum(len(data) for _, data in parts)
    done: list[int] = []
    contents.unpack(tmp_path / "out", progress=done.append)
    assert done[-1] == contents.size_bytes
    files = {str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert files == {part for part, _ in parts}
    assert all((tmp_path / "out" / part).read_bytes() == data for part, data in parts)


def test_flipped_bytes_are_found_by_the_archives_own_checksum(tmp_path: Path) -> None:
    data = bytearray(zipped([(f"{NAME}/am/final.mdl", bytes(range(256)) * 400)]))
    data[len(data) // 3] ^= 0xFF
    contents = archive.inspect(saved(bytes(data), tmp_path))
    with pytest.raises(ModelError, match="is damaged"):
        contents.unpack(tmp_path / "out")


def test_links_in_a_folder_must_stay_inside(tmp_path: Path) -> None:
    source = tmp_path / "model"
    (source / "am").mkdir(parents=True)
    (source / "am" / "real.mdl").write_bytes(b"model")
    (source / "am" / "final.mdl").symlink_to("real.mdl")
    archive.copy_folder(source, tmp_path / "copy")
    assert (tmp_path / "copy" / "am" / "final.mdl").read_bytes() == b"model"
    assert not (tmp_path / "copy" / "am" / "final.mdl").is_symlink()
    (source / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(ModelError, match="points out of"):
        archive.copy_folder(source, tmp_path / "other")


def test_a_file_where_a_folder_should_be_is_an_error_of_the_system(tmp_path: Path) -> None:
    contents = archive.inspect(saved(zipped([*MODEL, (f"{NAME}/README/x", b"x")]), tmp_path))
    with pytest.raises(OSError, match=r"exists|directory"):
        contents.unpack(tmp_path / "out")


def test_a_list_of_files_too_long_to_be_read_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.comment = b"PK\5\6 is in here, too"
        for number in range(100):
            info = zipfile.ZipInfo(f"model/{number}")
            info.comment = bytes(60_000)
            opened.writestr(info, b"")
    with pytest.raises(ModelError, match="are the list of its files alone"):
        archive.inspect(path)


def test_members_packed_in_unusual_ways_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as opened:
        opened.writestr("model/am/final.mdl", bytes(1000))
    with pytest.raises(ModelError, match="is packed in a way that no model is"):
        archive.inspect(path)


def test_the_large_form_of_an_archive_is_read(tmp_path: Path) -> None:
    """With the mark of the large form in place of the length of its list, as some programs write it for any archive."""
    path = tmp_path / "x.zip"
    data = bytearray(zipped([("model/am/final.mdl", b"x")]))
    end = len(data) - 22
    entries, size, start = struct.unpack_from("<HII", data, end + 10)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, size, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    struct.pack_into("<HHII", data, end + 8, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    path.write_bytes(data[:end] + record + locator + data[end:])
    assert [str(part) for part, _ in archive.inspect(path).members] == ["am/final.mdl"]
