"""What is masked: 15 % of the tokens, four in five of them hidden, never a special token; whole words whole."""

import pytest
import torch

from training.losses import IGNORED
from training.pretraining.blocks import pack_documents
from training.pretraining.masking import MaskingCollator, word_beginnings

DOCUMENTS = ["a good and lovely film , warm and great .", "Ada Byron met Bob in Paris and Rome ."] * 400


@pytest.fixture
def rows(tokenizer):
    return pack_documents(DOCUMENTS, tokenizer, 32).to_list()


@pytest.mark.parametrize("whole_words", [False, True])
def test_shares_are_those_of_the_paper(rows, tokenizer, whole_words):
    torch.manual_seed(0)
    collate = MaskingCollator(tokenizer, 0.15, whole_words=whole_words)
    original = torch.tensor([row["input_ids"] for row in rows])
    batch = collate(rows)
    ids, labels = batch["input_ids"], batch["labels"]
    chosen = labels != IGNORED
    content = ~torch.isin(original, torch.tensor(tokenizer.all_special_ids))
    assert not (chosen & ~content).any()
    assert chosen.sum() / content.sum() == pytest.approx(0.15, abs=0.01)
    assert torch.equal(labels[chosen], original[chosen])
    assert torch.equal(ids[~chosen], original[~chosen])
    hidden = ids[chosen] == tokenizer.mask_token_id
    kept = ids[chosen] == original[chosen]
    assert hidden.float().mean() == pytest.approx(0.8, abs=0.03)
    assert kept.float().mean() == pytest.approx(0.1, abs=0.03)  # and a random token is the same one in 300


def test_a_word_is_chosen_whole_or_not_at_all(rows, tokenizer):
    collate = MaskingCollator(tokenizer, 0.3, whole_words=True)
    ids = torch.tensor([row["input_ids"] for row in rows])
    chosen, words = collate.choose(ids), collate.words_of(ids)
    content = ~torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
    for word in range(int(words.max()) + 1):
        parts = chosen[(words == word) & content]
        assert parts.all() or not parts.any()
    assert int(words.max()) + 1 < ids.numel()  # some word has several tokens


def test_each_time_is_masked_anew_and_a_seed_repeats_it(rows, tokenizer):
    collate = MaskingCollator(tokenizer, 0.15)
    torch.manual_seed(1)
    first, second = collate(rows[:4]), collate(rows[:4])
    torch.manual_seed(1)
    again = collate(rows[:4])
    assert not torch.equal(first["labels"], second["labels"])
    assert torch.equal(first["labels"], again["labels"])
    assert torch.equal(first["input_ids"], again["input_ids"])


def test_a_batch_always_has_something_to_guess(rows, tokenizer):
    batch = MaskingCollator(tokenizer, 1e-9)(rows[:2])
    assert (batch["labels"] != IGNORED).sum() == 1


def test_words_begin_where_the_tokenizer_says(tokenizer):
    begins = word_beginnings(tokenizer)
    ids = tokenizer("met Bob in", add_special_tokens=False)["input_ids"]
    words = [tokenizer.convert_ids_to_tokens(i).startswith("Ġ") for i in ids]
    assert begins[ids].tolist() == words
    assert sum(words) == 2
