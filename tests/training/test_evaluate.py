"""Metrics on predictions whose score is known, and predictors against the model run by hand."""

import numpy as np
import pytest
import torch
from transformers import RobertaForMaskedLM, RobertaForSequenceClassification, RobertaForTokenClassification

from training.data import ClassificationExample, Sentence, render
from training.evaluate import (
    evaluate_classification,
    evaluate_fill_mask,
    evaluate_ner,
    torch_classifier,
    torch_mask_filler,
    torch_tagger,
    word_tags,
)

NER_LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
TEXTS = [
    "a good film",
    "the café in São Paulo isn't open ( yet ) .",
    "Ada",
    "a bad and awful film , cold and dull .",
]


def one_hot(index, width):
    return np.eye(width, dtype=np.float32)[index]


def answers(*rows):
    return lambda inputs: list(rows)


def test_classification_scores():
    examples = [ClassificationExample(text, (label,)) for text, label in zip("abcd", "nnpp", strict=True)]
    predict = answers(*(one_hot(index, 2) for index in (0, 0, 1, 0)))
    scores = evaluate_classification(examples, ("n", "p"), predict)
    assert scores == {"accuracy": 0.75, "macro_f1": pytest.approx((0.8 + 2 / 3) / 2)}


def test_multi_label_scores_need_every_label_right():
    examples = [ClassificationExample("x", labels, multi_label=True) for labels in (("a", "b"), (), ("b",))]
    predict = answers(*np.array([[1, 1], [-1, -1], [1, 1]], dtype=np.float32))
    scores = evaluate_classification(examples, ("a", "b"), predict)
    assert scores == {"accuracy": pytest.approx(2 / 3), "macro_f1": pytest.approx((2 / 3 + 1) / 2)}


def test_pairs_reach_the_predictor_as_pairs():
    seen = []

    def predict(inputs):
        seen.extend(inputs)
        return [one_hot(0, 2)] * len(inputs)

    evaluate_classification([ClassificationExample("a", ("n",), "b")], ("n", "p"), predict)
    assert seen == [("a", "b")]


@pytest.mark.parametrize(
    ("tokens", "tags", "expected"),
    [
        ([(0, 3), (4, 9)], ["B-PER", "I-PER"], ["B-PER", "I-PER"]),
        (
            [(0, 1), (1, 3), (4, 6), (6, 9)],
            ["B-PER", "O", "I-PER", "O"],
            ["B-PER", "I-PER"],
        ),  # first token counts
        ([(0, 3), (4, 9)], ["I-PER", "I-LOC"], ["B-PER", "B-LOC"]),  # made legal
        ([(0, 3)], ["B-PER"], ["B-PER", "O"]),  # cut short
        ([(0, 9)], ["B-PER"], ["B-PER", "B-PER"]),  # one token over both words
        ([(0, 0), (0, 3), (3, 9)], ["B-LOC", "O", "B-PER"], ["O", "B-PER"]),  # empty token, space in a token
        ([], [], ["O", "O"]),
    ],
)
def test_words_take_the_tag_of_their_first_token(tokens, tags, expected):
    assert word_tags([(0, 3), (4, 9)], np.array(tokens).reshape(-1, 2), tags) == expected


def ner_answer(example, tags):
    return np.array(example.word_offsets), one_hot([NER_LABELS.index(tag) for tag in tags], len(NER_LABELS))


def test_ner_scores_whole_entities():
    example = render(Sentence(tuple("abcde"), ("B-PER", "I-PER", "O", "B-LOC", "O")), "spaced")
    perfect = evaluate_ner([example], NER_LABELS, answers(ner_answer(example, example.tags)))
    assert set(perfect) == {"f1", "precision", "recall", "lenient_f1", "f1_PER", "f1_LOC"}
    assert set(perfect.values()) == {1.0}
    short = answers(ner_answer(example, ("B-PER", "O", "O", "B-LOC", "B-LOC")))  # cut PER; LOC twice
    scores = evaluate_ner([example], NER_LABELS, short)
    assert scores["precision"] == pytest.approx(1 / 3)
    assert scores["recall"] == pytest.approx(1 / 2)
    assert scores["f1"] == pytest.approx(0.4)
    assert scores["f1_PER"] == 0.0
    assert scores["f1_LOC"] == pytest.approx(2 / 3)


def test_ner_without_a_guess_scores_zero():
    example = render(Sentence(("Ada",), ("B-PER",)), "spaced")
    scores = evaluate_ner([example], NER_LABELS, answers(ner_answer(example, ("O",))))
    assert set(scores.values()) == {0.0}


@pytest.fixture
def documents():
    return ["a good and lovely film , warm and great . " * 9, "Ada", ""]


def test_fill_mask_hides_the_stated_share(tokenizer, documents):
    seen = []

    def predict(windows):
        seen.extend(windows)
        masks = sum(ids.count(tokenizer.mask_token_id) for ids in windows)
        return [np.zeros((masks, len(tokenizer)), dtype=np.float32)]

    scores = evaluate_fill_mask(documents, tokenizer, predict, window=22)
    whole = tokenizer(documents[0], add_special_tokens=False)["input_ids"]
    assert scores["masked_loss"] == pytest.approx(np.log(len(tokenizer)))
    bodies = [ids[1:-1] for ids in seen]
    assert [len(ids) for ids in bodies[:-2]] == [20] * (len(whole) // 20)
    assert [ids.count(tokenizer.mask_token_id) for ids in bodies[:-2]] == [3] * (len(whole) // 20)
    assert all((ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id) for ids in seen)
    shown = [token for ids in bodies[:-1] for token in ids]
    assert all(token in (hidden, tokenizer.mask_token_id) for token, hidden in zip(shown, whole, strict=True))


def test_fill_mask_knows_right_from_wrong_and_repeats(tokenizer, documents):
    whole = tokenizer(documents[0], add_special_tokens=False)["input_ids"]
    asked = []

    def oracle(windows):
        asked.append(windows)
        body = windows[0][1:-1]
        hidden = [own for own, token in zip(whole, body, strict=True) if token == tokenizer.mask_token_id]
        return [one_hot(hidden, len(tokenizer)) * 50]

    arguments = (documents[:1], tokenizer, oracle)
    assert evaluate_fill_mask(*arguments, window=512) == {
        "masked_accuracy": 1.0,
        "masked_loss": pytest.approx(0),
    }
    evaluate_fill_mask(*arguments, window=512)
    evaluate_fill_mask(*arguments, window=512, seed=1)
    assert asked[0] == asked[1]
    assert asked[0] != asked[2]


def by_hand(model, tokenizer, text):
    model.eval()
    with torch.inference_mode():
        return model(**tokenizer(text, return_tensors="pt")).logits[0].numpy()


def test_torch_classifier_batches_as_it_answers_alone(tiny_config, tokenizer):
    model = RobertaForSequenceClassification(tiny_config).train()
    logits = torch_classifier(model, tokenizer, max_length=64, batch_size=3)([*TEXTS, ("Ada", "a film")])
    assert model.training
    for text, row in zip(TEXTS, logits, strict=False):
        np.testing.assert_allclose(row, by_hand(model, tokenizer, text), atol=1e-5)
    pair = tokenizer("Ada", "a film", return_tensors="pt")
    np.testing.assert_allclose(logits[-1], model.eval()(**pair).logits[0].detach().numpy(), atol=1e-5)


def test_torch_tagger_leaves_specials_out_and_cuts(tiny_config, tokenizer):
    model = RobertaForTokenClassification(tiny_config)
    text = TEXTS[1]
    for offsets, logits in torch_tagger(model, tokenizer, max_length=64)([text]):
        np.testing.assert_allclose(logits, by_hand(model, tokenizer, text)[1:-1], atol=1e-5)
        assert "".join(text[start:end] for start, end in offsets) == text.replace(" ", "")
    [(offsets, logits)] = torch_tagger(model, tokenizer, max_length=8)([text])
    assert offsets.shape == (6, 2)
    assert logits.shape == (6, 2)


def test_torch_mask_filler_answers_at_masks(tiny_config, tokenizer):
    model = RobertaForMaskedLM(tiny_config)
    windows = [tokenizer(text)["input_ids"] for text in ("a <mask> film", "<mask> and a <mask> , warm")]
    first, second = torch_mask_filler(model, tokenizer)(windows)
    assert first.shape == (1, len(tokenizer))
    positions = np.array(windows[1]) == tokenizer.mask_token_id
    expected = by_hand(model, tokenizer, "<mask> and a <mask> , warm")[positions]
    np.testing.assert_allclose(second, expected, atol=1e-5)
