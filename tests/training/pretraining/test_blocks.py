"""Documents become full sequences and nothing but the last few tokens is left out."""

import itertools

import pytest

from training.pretraining.blocks import pack_documents

DOCUMENTS = ["a good and lovely film", "Ada Byron met Bob", "the café in São Paulo isn't open"] * 7


def test_rows_are_full_and_hold_the_documents_in_order(tokenizer):
    rows = pack_documents(DOCUMENTS, tokenizer, 16)["input_ids"]
    assert all(len(row) == 16 for row in rows)
    assert {row[0] for row in rows} == {tokenizer.cls_token_id}
    assert {row[-1] for row in rows} == {tokenizer.sep_token_id}
    packed = list(itertools.chain.from_iterable(row[1:-1] for row in rows))
    separated = [[*tokenizer(d, add_special_tokens=False)["input_ids"], tokenizer.sep_token_id] for d in DOCUMENTS]
    stream = list(itertools.chain.from_iterable(separated))
    assert packed == stream[: len(packed)]
    assert len(stream) - len(packed) < 14


def test_many_documents_are_tokenized_in_several_calls(tokenizer, monkeypatch):
    whole = pack_documents(DOCUMENTS, tokenizer, 16)["input_ids"]
    monkeypatch.setattr("training.pretraining.blocks.DOCUMENTS_PER_CALL", 4)
    assert pack_documents(DOCUMENTS, tokenizer, 16)["input_ids"] == whole


def test_too_little_text_is_said(tokenizer):
    with pytest.raises(ValueError, match="do not fill one sequence of 64"):
        pack_documents(["Ada"], tokenizer, 64)
