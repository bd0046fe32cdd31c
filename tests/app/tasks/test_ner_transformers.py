"""Named entities are those that Hugging Face's pipeline finds, with the same scores."""

import pytest

from tests.app.builders import serve_checkpoint, wordpiece_tokenizer
from tests.app.tasks.test_ner import STRATEGIES
from tests.support.tiny import TAGS, save_checkpoint


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory):
    """A random BERT with a WordPiece tokenizer: Hugging Face knows its words, as it does not a byte-level BPE's."""
    import torch
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    tokenizer = wordpiece_tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        id2label=dict(enumerate(TAGS)),
    )
    model = BertForTokenClassification(config).eval()
    with torch.no_grad():
        model.classifier.weight.mul_(50)
    save_checkpoint(model, folder)
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    tokens = {f"{name}_token": token for name, token in names.items()}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **tokens).save_pretrained(folder)
    return folder


def assert_same(folder, texts, strategy):
    from transformers import pipeline

    serve = serve_checkpoint(folder)
    ask = pipeline("ner", model=str(folder), device="cpu", aggregation_strategy=strategy)
    fields = ("entity_group", "entity", "index", "start", "end")
    found = 0
    for text in texts:
        ours = serve({"inputs": text, "parameters": {"aggregation_strategy": strategy}})
        theirs = ask(text)
        assert [[e.get(field) for field in fields] for e in ours] == [[e.get(f) for f in fields] for e in theirs]
        assert [e["score"] for e in ours] == pytest.approx([float(e["score"]) for e in theirs], abs=1e-4)
        found += len(ours)
    assert found > 5


@pytest.mark.parametrize("strategy", ["none", "simple"])
def test_answers_are_those_of_the_transformers_pipeline(strategy, tiny_checkpoints):
    """But for tokens of a single space, which Hugging Face reports as entities of no characters."""
    texts = ["Ada Byron met Bob in Paris and Rome .", "the café in São Paulo isn't open ( yet ) .", " a film😀"]
    assert_same(tiny_checkpoints["ner"], texts, strategy)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_answers_of_a_bert_are_those_of_the_transformers_pipeline(strategy, tiny_bert):
    assert_same(tiny_bert, ["Paris is good, a play in Berlin!", "xyz abc paris", "in Rome? Is a queue good"], strategy)
