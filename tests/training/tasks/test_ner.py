"""NER in training: labels of tokens from character spans, on a real byte-level tokenizer and on chosen offsets."""

from __future__ import annotations

import numpy as np
import pytest

from training.config import EvaluationConfig
from training.data import Labeling, NerExample, Sentence, render
from training.evaluation.record import Trial
from training.evaluation.scoring import Scoring
from training.losses import IGNORED
from training.tasks.ner import NerTraining, token_labels

NER = NerTraining()
TRIAL = Trial("token-classification", "f1", "fp32", "test", EvaluationConfig())
IDS = {"O": 0, "B-LOC": 1, "I-LOC": 2, "B-PER": 3, "I-PER": 4}


@pytest.mark.parametrize(
    ("text", "offsets", "expected"),
    [
        ("Ada Byron!", [(0, 2), (2, 3), (3, 9), (9, 10)], [3, 4, 4, 0]),  # every token of an entity
        ("Ada Byron!", [(0, 3), (3, 4), (4, 9), (9, 10)], [3, IGNORED, 4, 0]),  # a bare space
        ("Ada Byron!", [(0, 0), (0, 10)], [IGNORED, 3]),  # an empty token; one that is wider than the entity
    ],
)
def test_labels_follow_offsets(text, offsets, expected):
    assert token_labels(text, [(0, 9, "PER")], offsets, [0] * len(offsets), IDS) == expected


def test_a_leading_space_is_not_part_of_the_token():
    labels = token_labels("Ada Rome", [(0, 3, "PER"), (4, 8, "LOC")], [(0, 3), (3, 8)], [0, 0], IDS)
    assert labels == [3, 1]
    labels = token_labels("x Rome", [(2, 6, "LOC")], [(0, 2), (1, 6)], [0, 0], IDS)
    assert labels == [0, 1]


def test_specials_are_found_by_their_mask():
    labels = token_labels("Ada", [(0, 3, "PER")], [(0, 3), (0, 3), (0, 3)], [1, 0, 1], IDS)
    assert labels == [IGNORED, 3, IGNORED]


def test_a_shared_token_does_not_rob_the_second_entity_of_its_beginning():
    spans = [(0, 3, "PER"), (3, 7, "LOC")]
    assert token_labels("AdaRome", spans, [(0, 5), (5, 7)], [0, 0], IDS) == [3, 1]


@pytest.mark.parametrize("style", ["spaced", "natural"])
def test_ner_rows_label_every_token_of_raw_text(style, tokenizer):
    sentence = Sentence(("(", "São", "Paulo", "isn", "'t", "open", ")"), ("O", "B-LOC", "I-LOC", "O", "O", "O", "O"))
    example = render(sentence, style)
    row = NER.features([example], Labeling(tuple(IDS)), tokenizer, 64)[0]
    assert row["input_ids"] == tokenizer(example.text)["input_ids"]
    assert row["length"] == len(row["labels"]) == len(row["input_ids"])
    tokens = tokenizer.convert_ids_to_tokens(row["input_ids"])
    ignored = [token for token, label in zip(tokens, row["labels"], strict=True) if label == IGNORED]
    assert ignored == [token for token in tokens if token in ("<s>", "</s>", "Ġ")]
    tagged = [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label in (1, 2)]
    assert tokenizer.decode(tagged).strip() == "São Paulo"
    assert [label for label in row["labels"] if label == 1] == [1]


@pytest.mark.parametrize(
    "labels",
    [
        ["O", "B-PER", "I-PER", "E-PER", "B-LOC", "I-LOC", "E-LOC", "S-PER", "S-LOC"],
        ["O", "B_PER", "I_PER", "L_PER", "B_LOC", "I_LOC", "L_LOC", "U_PER", "U_LOC"],
        ["o", "PER-B", "PER-I", "PER-E", "LOC-B", "LOC-I", "LOC-E", "PER-S", "LOC-S"],
    ],
    ids=lambda labels: labels[1],
)
def test_a_model_of_another_scheme_is_scored_by_the_entities_that_it_finds(labels):
    """Over "Ada Maria Byron in Rome": B, I, E, O, S."""
    words = ("Ada", "Maria", "Byron", "in", "Rome")
    example = render(Sentence(words, ("B-PER", "I-PER", "I-PER", "O", "B-LOC")), "natural")
    logits = np.eye(len(labels), dtype=np.float32)[[1, 2, 3, 0, 8]] * 9
    predictions = [(np.array(example.word_offsets), logits)]
    metrics = NER.score([example], predictions, Labeling(tuple(labels)), Scoring())
    assert metrics["f1"] == metrics["strict_f1"] == metrics["f1_LOC"] == 1


def test_a_model_of_bare_types_is_scored_and_told_from_data_that_it_does_not_know(tmp_path):
    example = NerExample("Ada Byron", ((0, 9, "PER"),), ((0, 3), (4, 9)), ("B-PER", "I-PER"))
    predictions = [(np.array([(0, 3), (4, 9)]), np.array([[0, 9], [0, 9]], np.float32))]
    labeling = Labeling(("O", "PER"))
    assert NER.score([example], predictions, labeling, Scoring())["f1"] == 1
    details = NER.evaluate([example], predictions, labeling, Scoring(), TRIAL)
    assert details.predictions[0]["correct"]
