"""The tokenizers that an engine keeps for its workers: of one content, whole, and for as long as they are in use."""

import gc
import shutil

import pytest

from app.bundle import BundleError, read_bundle, sha256
from app.processes.tokenizers import TokenizerStore, is_as_kept
from app.serving.sources import read_folder
from tests.app.builders import write_bundle, write_hub_folder


def read(folder):
    return read_bundle(folder, name=folder.parent.name, version=int(folder.name))


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_kept_copy_outlives_the_models_folder_and_not_its_bundles(tmp_path, byte_level):
    store = TokenizerStore(tmp_path / "kept")
    one = store.keep(read(write_bundle(tmp_path, byte_level, name="one")))
    other = store.keep(read(write_bundle(tmp_path, byte_level, name="other")))
    assert one.tokenizer_file == other.tokenizer_file
    assert files(tmp_path / "kept") == [one.tokenizer_file.name]
    content = (one.path / "tokenizer.json").read_bytes()
    (one.path / "tokenizer.json").write_text("{}")
    assert one.tokenizer_file.read_bytes() == content
    assert is_as_kept(one.tokenizer_file)
    kept = other.tokenizer_file
    del one
    gc.collect()
    assert kept.exists()
    del other
    gc.collect()
    assert files(tmp_path / "kept") == []


def test_a_tokenizer_that_was_altered_after_it_was_hashed_is_refused(tmp_path, byte_level):
    bundle = read(write_bundle(tmp_path, byte_level))
    with (bundle.path / "tokenizer.json").open("a") as stream:
        stream.write(" ")
    with pytest.raises(BundleError, match="its sha256 is not the manifest's"):
        TokenizerStore(tmp_path / "kept").keep(bundle)


def test_a_folder_without_hashes_is_kept_as_it_was_read(tmp_path, byte_level):
    write_hub_folder(tmp_path / "hub", byte_level)
    bundle = TokenizerStore(tmp_path / "kept").keep(read_folder(tmp_path / "hub", name="hub", version=1))
    assert is_as_kept(bundle.tokenizer_file)
    bundle.tokenizer_file.write_text("{}")
    assert not is_as_kept(bundle.tokenizer_file)
    bundle.tokenizer_file.unlink()
    assert not is_as_kept(bundle.tokenizer_file)


def test_a_temporary_folder_that_takes_nothing_refuses_the_bundle(tmp_path, byte_level):
    (tmp_path / "kept").write_text("no folder")
    with pytest.raises(BundleError, match=r"the temporary folder cannot keep tokenizer.json: "):
        TokenizerStore(tmp_path / "kept").keep(read(write_bundle(tmp_path, byte_level)))


def test_a_store_takes_over_what_another_process_left_as_far_as_it_is_whole_and_in_use(tmp_path, byte_level):
    bundle = read(write_bundle(tmp_path, byte_level))
    left = tmp_path / "kept" / sha256(bundle.tokenizer_file)
    left.parent.mkdir()
    shutil.copy(bundle.tokenizer_file, left)
    inode = left.stat().st_ino
    (tmp_path / "kept" / "of no bundle").touch()
    store = TokenizerStore(tmp_path / "kept")
    kept = store.keep(bundle)
    store.sweep()
    assert files(tmp_path / "kept") == [left.name]
    assert kept.tokenizer_file.stat().st_ino == inode
    kept.tokenizer_file.write_text("cut")
    assert is_as_kept(TokenizerStore(tmp_path / "kept").keep(bundle).tokenizer_file)
