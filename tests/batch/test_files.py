"""The files of a folder in batch scoring."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seldon_spec.batch import files
from seldon_spec.batch.files import FilesReader
from seldon_spec.batch.rows import MAX_REQUEST_BYTES
from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.message import PayloadType


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files at several levels."""
    root = tmp_path / "images"
    for name, data in (("b.png", b"B\0"), ("a/2.png", b"A2"), ("a/1.png", b"A1"), ("c/d/e.png", b"")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    for name in (".hidden", "a/.DS_Store", ".git/config"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"hidden")
    return root


PATHS = ["a/1.png", "a/2.png", "b.png", "c/d/e.png"]
CONTENTS = [b"A1", b"A2", b"B\0", b""]


def list_rows(folder: Path, count: int = 1, position: int = 0) -> list[list[str]]:
    reader = FilesReader(folder)
    reader.seek(position)
    found = []
    while (rows := reader.read(count)) is not None:
        found.append([record for (record,) in rows.to_records()])
    assert reader.position == reader.size
    reader.close()
    return found


def test_reads_files_in_the_order_of_their_paths(folder: Path) -> None:
    reader = FilesReader(folder)
    assert (reader.size, reader.max_rows, list(reader.columns)) == (4, 1, [])
    found = []
    while (rows := reader.read(1)) is not None:
        message = rows.to_message()
        assert message.payload_type is PayloadType.BINARY
        assert list(rows.names) == ["file"]
        assert rows.to_numbers() is None
        found.append((rows.to_records(), message.payload))
    assert found == [([[path]], data) for path, data in zip(PATHS, CONTENTS, strict=True)]


@pytest.mark.parametrize("position", range(5))
def test_continues_at_each_position(folder: Path, position: int) -> None:
    assert list_rows(folder, position=position) == [[path] for path in PATHS[position:]]


def test_sends_several_files_as_an_array_of_bytes(folder: Path) -> None:
    reader = FilesReader(folder)
    rows = reader.read(3)
    assert rows is not None
    message = rows.to_message()
    assert message.payload_type is PayloadType.ARRAY
    assert message.payload.tolist() == CONTENTS[:3]
    assert rows.part(1, 2).to_message().payload == b"A2"


def test_bounds_the_bytes_of_a_read(folder: Path) -> None:
    (folder / "a" / "1.png").write_bytes(bytes(MAX_REQUEST_BYTES - 1))
    (folder / "b.png").write_bytes(bytes(MAX_REQUEST_BYTES + 1))
    assert list_rows(folder, 10) == [["a/1.png"], ["a/2.png"], ["b.png"], ["c/d/e.png"]]


def test_follows_links_to_files_inside(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "inside.png").symlink_to("b.png")
    (folder / "outside.png").symlink_to(tmp_path / "secret")
    (folder / "nowhere.png").symlink_to("missing")
    (folder / "folder").symlink_to(folder / "a")
    os.mkfifo(folder / "pipe")
    link = tmp_path / "link"
    link.symlink_to(folder)
    for root in (folder, link):
        assert [path for (path,) in list_rows(root)] == [*PATHS, "inside.png", "outside.png"]
        reader = FilesReader(root)
        reader.seek(4)
        rows = reader.read(2)
        assert rows is not None
        assert rows.part(0, 1).to_message().payload == b"B\0"
        with pytest.raises(ValueError, match="the link leads out of the folder"):
            rows.part(1, 2).to_message()


def test_reports_a_file_that_cannot_be_read(folder: Path) -> None:
    reader = FilesReader(folder)
    (folder / "a" / "1.png").unlink()
    rows = reader.read(1)
    assert rows is not None
    assert rows.to_records() == [["a/1.png"]]
    with pytest.raises(ValueError, match="column file: No such file or directory"):
        rows.to_message()


def test_reports_a_file_that_became_another(folder: Path) -> None:
    reader = FilesReader(folder)
    (folder / "a" / "1.png").unlink()
    os.mkfifo(folder / "a" / "1.png")
    rows = reader.read(1)
    assert rows is not None
    with pytest.raises(ValueError, match="column file: it is no regular file"):
        rows.to_message()


def test_reports_a_file_that_is_too_large(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 1 << 20)
    (folder / "a" / "1.png").write_bytes(bytes(1 << 20))
    (folder / "a" / "2.png").write_bytes(bytes((1 << 20) + 1))
    reader = FilesReader(folder)
    rows = reader.read(1)
    assert rows is not None
    rows.to_message()
    rows = reader.read(1)
    assert rows is not None
    with pytest.raises(ValueError, match="more than 1 MiB"):
        rows.to_message()


def test_a_name_that_is_no_utf_8_is_readable_in_the_output(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(bytes(tmp_path) + b"/\xff.png")).write_bytes(b"data")
    except OSError:
        pytest.skip("the file system has no such names")
    rows = FilesReader(tmp_path).read(1)
    assert rows is not None
    assert rows.to_records() == [["\ufffd.png"]]
    assert rows.to_message().payload == b"data"


def test_an_empty_folder_has_no_rows(tmp_path: Path) -> None:
    assert list_rows(tmp_path) == []


def test_reports_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SeldonSpecError, match="missing cannot be read: No such file or directory"):
        FilesReader(tmp_path / "missing")
