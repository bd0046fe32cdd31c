"""Files and folders that appear under their names when they are whole."""

from pathlib import Path

import pytest

from app.bundle import replace_file, replace_folder
from app.bundle.defaults import read_defaults, set_default


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    for text in ("old\n", "é 😀\n"):
        replace_file(tmp_path / "a.json", text)
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == "é 😀\n"
    assert names(tmp_path) == ["a.json"]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path):
    replace_file(tmp_path / "a.json", "old")
    with pytest.raises(UnicodeEncodeError):
        replace_file(tmp_path / "a.json", "new \ud800")
    assert (tmp_path / "a.json").read_text() == "old"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("there_is_one", [False, True])
def test_a_folder_appears_when_it_is_whole(there_is_one, tmp_path):
    path = tmp_path / "runs" / "checkpoint"
    if there_is_one:
        path.mkdir(parents=True)
        (path / "old").write_text("old")
    with replace_folder(path) as folder:
        (folder / "new").write_text("new")
        assert path.exists() == there_is_one
    assert names(path) == ["new"]
    assert names(tmp_path / "runs") == ["checkpoint"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_that_failed_leaves_what_was_there(error, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("old")

    def fail():
        with replace_folder(tmp_path / "a") as folder:
            (folder / "new").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["old"]


def test_a_folder_that_cannot_be_moved_into_place_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("old")
    rename = Path.rename

    def refuse_new(path, target):
        if path.name.endswith(".unfinished"):
            raise OSError("no space left")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(OSError, match="no space left"), replace_folder(tmp_path / "a"):
        pass
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["old"]


def test_what_a_killed_writer_left_is_removed_and_what_another_writes_is_not(tmp_path):
    (tmp_path / ".a.1.unfinished").mkdir()
    with replace_folder(tmp_path / "a"), replace_folder(tmp_path / "b"):
        assert len(names(tmp_path)) == 2
    assert names(tmp_path) == ["a", "b"]


def test_defaults_are_added_to(tmp_path):
    set_default(tmp_path, "classify", "a")
    set_default(tmp_path, "ner", "b")
    set_default(tmp_path, "classify", "c")
    assert read_defaults(tmp_path) == {"classify": "c", "ner": "b"}
    assert names(tmp_path) == ["defaults.json"]
