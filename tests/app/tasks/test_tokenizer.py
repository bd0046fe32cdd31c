"""Bundles with the same tokenizer share it, for as long as one of them is there."""

import gc
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.tasks.tokenizer import open_tokenizer
from tests.app.builders import sentencepiece_tokenizer, wordpiece_tokenizer


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tokenizer.json"
    wordpiece_tokenizer(words=("a", "play", "in", "four", "acts")).save(str(path))  # not what other tests have opened
    return path


def test_the_same_content_is_opened_once(file, tmp_path):
    copy = shutil.copy(file, tmp_path / "copy.json")
    assert open_tokenizer(file) is open_tokenizer(copy)


def test_other_content_is_another_tokenizer(file):
    before = open_tokenizer(file)
    sentencepiece_tokenizer().save(str(file))
    assert open_tokenizer(file) is not before


def test_side_by_side_it_is_opened_once(file):
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(open_tokenizer, [file] * 32))
    assert len(set(map(id, opened))) == 1


def test_what_no_bundle_uses_any_more_is_freed(file):
    unused = weakref.ref(open_tokenizer(file))
    gc.collect()
    assert unused() is None


def test_it_neither_cuts_nor_pads(file):
    tokenizer = wordpiece_tokenizer()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(file))
    lengths = [
        len(encoding) for encoding in open_tokenizer(file).encode_batch(["a good play", "a"], add_special_tokens=False)
    ]
    assert lengths == [3, 1]


def test_a_file_that_is_no_tokenizer_is_refused(file):
    file.write_text("{}")
    with pytest.raises(Exception, match="Cannot instantiate"):
        open_tokenizer(file)
