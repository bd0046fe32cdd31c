"""A model with one encoder's transformer and another's vocabulary."""

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, PreTrainedTokenizerFast

from training.__main__ import main
from training.config import RecipeError
from training.pretraining.transplant import Speller, spelled_vectors, transplant

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "##good", "film", "##s", "ada", "met", "bob", "a", "##a"]


def wordpiece():
    backend = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    roles = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, mask_token="[MASK]", **roles)


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    """Return the folder of a random BERT with a small WordPiece vocabulary."""
    folder = tmp_path_factory.mktemp("body")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=40,
    )
    BertModel(config).save_pretrained(folder)
    wordpiece().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def made(body, tiny_checkpoints):
    return transplant(str(body), str(tiny_checkpoints["fill-mask"]))


def test_the_layers_are_the_bodys(body, made):
    model, tokenizer = made
    source = BertModel.from_pretrained(body)
    for name, tensor in source.encoder.state_dict().items():
        assert torch.equal(model.roberta.encoder.state_dict()[name], tensor)
    embeddings = model.roberta.embeddings
    assert torch.equal(embeddings.position_embeddings.weight[2:], source.embeddings.position_embeddings.weight)
    assert torch.equal(embeddings.token_type_embeddings.weight[0], source.embeddings.token_type_embeddings.weight[0])
    assert model.config.max_position_embeddings == 42
    assert tokenizer.model_max_length == 40


def test_the_transformer_answers_as_the_body_did(body, made):
    """Given the same word vectors at the same positions, the hidden states are the same."""
    model, _ = made
    source = BertModel.from_pretrained(body).eval()
    vectors = torch.randn(1, 7, 32)
    with torch.no_grad():
        expected = source(inputs_embeds=vectors).last_hidden_state
        positions = torch.arange(2, 9)[None]
        actual = model.roberta(inputs_embeds=vectors, position_ids=positions).last_hidden_state
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_a_token_is_the_mean_of_what_spells_it(tokenizer):
    donor = wordpiece()
    words = torch.randn(len(WORDS), 8)
    vectors = spelled_vectors(tokenizer, donor, words)
    vocabulary, at = tokenizer.get_vocab(), {word: i for i, word in enumerate(WORDS)}
    torch.testing.assert_close(vectors[vocabulary["Ġfilm"]], words[at["film"]])
    inside_or_not = (words[at["a"]] + words[at["##a"]]) / 2
    torch.testing.assert_close(vectors[vocabulary["a"]], inside_or_not)
    torch.testing.assert_close(vectors[tokenizer.mask_token_id], words[at["[MASK]"]])
    torch.testing.assert_close(vectors[tokenizer.bos_token_id], words[at["[CLS]"]])
    torch.testing.assert_close(vectors[vocabulary["Ã"]], words.mean(dim=0))  # half of a character


def test_spelling_has_a_form_for_each_place_in_a_word():
    at = {word: i for i, word in enumerate(WORDS)}
    speller = Speller(wordpiece())
    assert speller.spell(" Films") == [[at["film"], at["##s"]]]
    assert speller.spell("good") == [[at["good"]], [at["##good"]]]
    assert speller.spell("%") == []


def test_with_the_same_vocabulary_every_word_keeps_its_vector(tokenizer):
    words = torch.randn(len(tokenizer), 8)
    vectors = spelled_vectors(tokenizer, tokenizer, words)
    whole_words = [i for token, i in tokenizer.get_vocab().items() if token.startswith("Ġ") and len(token) > 3]
    assert len(whole_words) > 10
    torch.testing.assert_close(vectors[whole_words], words[whole_words])


def test_the_head_begins_as_the_identity_and_is_tied(made):
    model, _ = made
    assert torch.equal(model.lm_head.dense.weight, torch.eye(32))
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight


def test_command_writes_a_folder_that_loads(body, tiny_checkpoints, tmp_path, capsys):
    out = tmp_path / "start"
    main(["transplant", "--body", str(body), "--tokenizer", str(tiny_checkpoints["fill-mask"]), "--out", str(out)])
    assert capsys.readouterr().out.strip() == str(out)
    assert (out / "model.safetensors").is_file()
    with pytest.raises(SystemExit, match="exists; name a folder that does not"):
        main(["transplant", "--body", str(body), "--tokenizer", str(body), "--out", str(out)])


def test_what_cannot_be_transplanted_is_one_sentence(body, tiny_checkpoints, tmp_path):
    with pytest.raises(RecipeError, match="is not a byte-level BPE"):
        transplant(str(body), str(body))
    with pytest.raises(RecipeError, match="nothing cannot be loaded"):
        transplant(str(tmp_path / "nothing"), str(body))
    other = DistilBertModel(DistilBertConfig(vocab_size=50, dim=16, n_layers=1, n_heads=2, hidden_dim=16))
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(RecipeError, match="is a DistilBertModel; transplant takes bert, camembert, roberta"):
        transplant(str(tmp_path / "other"), str(tiny_checkpoints["fill-mask"]))
