"""Answers over hard texts, held to the pipelines of transformers on the same checkpoint.

Where they differ on purpose, docs/folders.md says why.
"""

import pytest

from tests.app.builders import sentencepiece_tokenizer, serve_checkpoint, wordpiece_tokenizer
from tests.support.tiny import TAGS, save_checkpoint

PLAIN = {
    "accents": "São Paulo and Zürich café",
    "hyphens": "Jean-Luc met Anne-Marie",
    "apostrophes": "O'Neill isn't in 's-Hertogenbosch",
    "full stops": "the U.S.A. vs. Ada B. Byron...",
    "emoji": "Ada 😀 met 👩\u200d👩\u200d👧 Bob👍🏽",
    "ideographs": "東京と大阪 Tokyo 東京Tokyo",
    "combining marks": "cafe\u0301 Bogota\u0301 हिन्दी",
    "right to left": "\u05de\u05e8\u05d9\u05dd \u0623\u062d\u0645\u062f \u0641\u064a",
    "known words": "the café in São Paulo isn't open ( yet ) . Ada Byron met Bob",
    "known pieces": "Paris is good a.good",
    "signs": "a@b.org #Paris AT&T (Rome) \u201cOslo\u201d 50%",
    "digits": "3,000.50 1e9 ½ ①",
    "invisible": "Par\u200bis \ufeffRome\u00ad",
}
SPACES = {
    "line breaks": "Ada Byron\nmet Bob\r\n\r\nin Paris",
    "doubled spaces": "Ada  Byron   met    Bob",
    "white space around": "  Ada met Bob \n",
    "other spaces": "Ada\u00a0Byron\tmet\u3000Bob",
}
TEXTS = PLAIN | SPACES
FIELDS = ("entity_group", "entity", "index", "start", "end")


def tagger(folder, model_class, config, tokenizer, **tokens):
    import torch
    from transformers import PreTrainedTokenizerFast

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    size = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 130, "id2label": dict(enumerate(TAGS))}
    model = model_class(config(**shape, **size)).eval()
    with torch.no_grad():
        model.classifier.weight.mul_(50)
    save_checkpoint(model, folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **tokens).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def taggers(tiny_checkpoints, tmp_path_factory):
    """Random taggers with a byte-level, a WordPiece and a SentencePiece tokenizer."""
    from transformers import BertConfig, BertForTokenClassification, XLMRobertaConfig, XLMRobertaForTokenClassification

    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    brackets = {f"{name}_token": token for name, token in names.items()}
    names = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>", "mask": "<mask>"}
    angles = {f"{name}_token": token for name, token in names.items()}
    bert, xlmr = tmp_path_factory.mktemp("bert"), tmp_path_factory.mktemp("xlmr")
    return {
        "byte level": tiny_checkpoints["ner"],
        "word pieces": tagger(bert, BertForTokenClassification, BertConfig, wordpiece_tokenizer(), **brackets),
        "pieces": tagger(xlmr, XLMRobertaForTokenClassification, XLMRobertaConfig, sentencepiece_tokenizer(), **angles),
    }


def answers(folder, strategy):
    """Return two functions from a text to rows of (group, label, index, start, end, score): ours and transformers'."""
    from transformers import pipeline

    serve = serve_checkpoint(folder)
    ask = pipeline("ner", model=str(folder), device="cpu", aggregation_strategy=strategy, ignore_labels=[])

    def ours(text):
        body = {"inputs": text, "parameters": {"aggregation_strategy": strategy, "ignore_labels": []}}
        return rows(serve(body))

    return ours, lambda text: rows(ask(text))


def rows(entities):
    return [
        (*(entity.get(field) for field in FIELDS), pytest.approx(float(entity["score"]), abs=1e-4))
        for entity in entities
    ]


def is_blank(text, row):
    return not text[row[3] : row[4]].strip()


def place(text, row):
    """Return the group and where it stands, without the space that a token of SentencePiece begins with."""
    start = row[3] + len(text[row[3] : row[4]]) - len(text[row[3] : row[4]].lstrip())
    return row[0], start, row[4]


def solid(texts, folder):
    """Return the texts of which no token is white space alone."""
    _, tokens = answers(folder, "none")
    return [text for text in texts if not any(is_blank(text, row) for row in tokens(text))]


@pytest.mark.parametrize("kind", ["byte level", "word pieces", "pieces"])
def test_tokens_and_their_scores_are_the_same(kind, taggers):
    """But for tokens of white space, which transformers answers as entities of nothing."""
    ours, theirs = answers(taggers[kind], "none")
    for text in TEXTS.values():
        expected = [row for row in theirs(text) if not is_blank(text, row)]
        assert [row[:3] for row in ours(text)] == [row[:3] for row in expected]
        assert [row[5].expected for row in ours(text)] == [row[5] for row in expected]
        for row, other in zip(ours(text), expected, strict=True):
            assert text[row[3] : row[4]] == text[other[3] : other[4]].strip()


@pytest.mark.parametrize("kind", ["byte level", "word pieces", "pieces"])
def test_neighbors_of_one_type_are_joined_alike(kind, taggers):
    ours, theirs = answers(taggers[kind], "simple")
    texts = solid(PLAIN.values(), taggers[kind])
    assert texts
    for text in texts:
        assert [place(text, row) for row in ours(text)] == [place(text, row) for row in theirs(text)]
        assert [row[5].expected for row in ours(text)] == [row[5] for row in theirs(text)]


@pytest.mark.parametrize("strategy", ["first", "average", "max"])
def test_words_of_word_pieces_are_the_same(strategy, taggers):
    ours, theirs = answers(taggers["word pieces"], strategy)
    for text in PLAIN.values():
        assert [(row[0], *row[3:5]) for row in ours(text)] == [(row[0], *row[3:5]) for row in theirs(text)]


@pytest.mark.parametrize("strategy", ["first", "average", "max"])
@pytest.mark.parametrize("kind", ["byte level", "pieces"])
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_words_between_single_spaces_are_the_same(kind, strategy, taggers):
    """Where no sign stands beside a word: a full stop after it is no part of it here."""
    ours, theirs = answers(taggers[kind], strategy)
    words = {
        "byte level": ("Ada Byron met Bob", "the café isn't open", "good warm-film", "film.great a"),
        "pieces": ("Paris is good", "good.a is a", "is.good Paris.is a"),  # an unknown sign is a word for transformers
    }
    texts = solid(words[kind], taggers[kind])
    assert len(texts) > 1
    for text in texts:
        assert [place(text, row) for row in ours(text)] == [place(text, row) for row in theirs(text)]


def test_a_sign_beside_a_word_is_no_part_of_its_entity(taggers):
    ours, _ = answers(taggers["byte level"], "first")
    text = "Ada (Paris), Bob."
    borders = {row[3] for row in ours(text)} | {row[4] for row in ours(text)}
    assert borders <= {0, 3, 4, 5, 10, 12, 13, 16, 17}


# --- Masks ------------------------------------------------------------------------------------------------

MASKED = [
    "Ada met <mask> in Paris .",
    "<mask> is good",
    "the caf\u00e9 isn't <mask>",
    "a  <mask>\nfilm",
    "\u6771\u4eac <mask> 😀",
]


@pytest.fixture(scope="module")
def fillers(tiny_checkpoints):
    from transformers import pipeline

    folder = tiny_checkpoints["fill-mask"]
    return serve_checkpoint(folder), pipeline("fill-mask", model=str(folder), device="cpu")


def candidates(answer):
    return [(each["token"], each["token_str"], pytest.approx(each["score"], abs=1e-5)) for each in answer]


@pytest.mark.parametrize("text", MASKED, ids=ascii)
def test_candidates_and_their_scores_are_the_same(text, fillers):
    serve, ask = fillers
    ours = serve({"inputs": text, "parameters": {"top_k": 8}})
    theirs = ask(text, top_k=8)
    assert [(e["token"], e["token_str"]) for e in ours] == [(e["token"], e["token_str"]) for e in theirs]
    assert [e["score"] for e in ours] == pytest.approx([e["score"] for e in theirs], abs=1e-5)


def test_a_sequence_is_the_text_as_sent_with_the_candidate_in_it(fillers):
    """transformers decodes tokens instead, which may write the text otherwise."""
    serve, _ = fillers
    for each in serve({"inputs": "a  <mask>\nfilm", "parameters": {"top_k": 8}}):
        assert each["sequence"].startswith("a")
        assert each["sequence"].endswith("\nfilm")


@pytest.mark.parametrize("targets", ["good", ["good"], ["\u0120good"], ["good", "\u0120film"]], ids=ascii)
def test_targets_as_transformers_takes_them(targets, fillers):
    """A word is meant as it stands at the mask, after a space; a token of the vocabulary is taken as it is."""
    serve, ask = fillers
    ours = serve({"inputs": "a <mask> film", "parameters": {"targets": targets}})
    marked = [targets] if isinstance(targets, str) else targets
    theirs = ask("a <mask> film", targets=[f"\u0120{target.removeprefix(chr(0x120))}" for target in marked])
    assert [(e["token"], e["token_str"]) for e in ours] == [(e["token"], e["token_str"]) for e in theirs]
    assert [e["score"] for e in ours] == pytest.approx([e["score"] for e in theirs], abs=1e-5)
