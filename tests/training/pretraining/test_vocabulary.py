"""A tokenizer from text: RoBERTa's specials and framing, and every text can be spelled."""

import pytest
from transformers import AutoTokenizer

from tests.support.tiny import CORPUS
from training.config import ArchitectureConfig
from training.pretraining.vocabulary import fresh_model, train_vocabulary


@pytest.fixture(scope="module")
def trained():
    return train_vocabulary(CORPUS * 20, 320, positions=64)


def test_special_tokens_are_robertas(trained):
    assert [trained.convert_tokens_to_ids(t) for t in ("<s>", "<pad>", "</s>", "<unk>")] == [0, 1, 2, 3]
    assert trained.mask_token_id == len(trained) - 1 <= 319
    assert trained("a", "b")["input_ids"][0] == 0
    assert trained.convert_ids_to_tokens(trained("Paris is <mask>.")["input_ids"]).count("<mask>") == 1
    assert "Ġ" not in trained.convert_ids_to_tokens(trained("is <mask>")["input_ids"])  # the mask takes its space


@pytest.mark.parametrize("text", ["a good film", "Ünïcödé 😀 \t text", "日本語", " leading and trailing "])
def test_every_text_survives(trained, text):
    ids = trained(text, add_special_tokens=False)["input_ids"]
    assert trained.unk_token_id not in ids
    assert trained.decode(ids, clean_up_tokenization_spaces=False) == text


def test_it_is_saved_and_loaded_as_any_other(trained, tmp_path):
    trained.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again("a good film")["input_ids"] == trained("a good film")["input_ids"]
    assert again.model_max_length == 64


def test_a_fresh_model_has_the_shape_that_was_asked_for(trained):
    shape = ArchitectureConfig(
        layers=3, hidden_size=24, attention_heads=4, intermediate_size=40, positions=64, vocabulary_size=320
    )
    model = fresh_model(shape, trained)
    assert model.config.num_hidden_layers == 3
    assert model.roberta.embeddings.word_embeddings.weight.shape == (len(trained), 24)
    assert model.config.max_position_embeddings == 66
