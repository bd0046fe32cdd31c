"""Classification in training: targets of one label, of several, and of numbers; pairs are tokenized as pairs."""

from __future__ import annotations

from training.data import ClassificationExample, Labeling
from training.tasks.classify import ClassifyTraining

CLASSIFY = ClassifyTraining()


def test_classification_rows(tokenizer):
    single = [ClassificationExample("a good film", ("n",)), ClassificationExample("Ada " * 50, ("p",))]
    rows = CLASSIFY.features(single, Labeling(("n", "p")), tokenizer, 16)
    assert list(rows["labels"]) == [0, 1]
    assert rows["length"][1] == 16
    multi = [ClassificationExample("x", ("b", "a")), ClassificationExample("y", ())]
    rows = CLASSIFY.features(multi, Labeling(("a", "b"), "multi_label_classification"), tokenizer, 16)
    assert list(rows["labels"]) == [[1.0, 1.0], [0.0, 0.0]]
    numbers = [ClassificationExample("x", (), target=0.5), ClassificationExample("y", (), target=-3.0)]
    assert list(CLASSIFY.features(numbers, Labeling(("score",), "regression"), tokenizer, 16)["labels"]) == [0.5, -3.0]
    pair = CLASSIFY.features([ClassificationExample("Ada", ("n",), "film")], Labeling(("n",)), tokenizer, 16)
    assert pair[0]["input_ids"] == tokenizer("Ada", "film")["input_ids"]
